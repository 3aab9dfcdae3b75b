"""Which of several processes computes a run: one, at whatever moment each of them is."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fae.tracking import claim
from fae.tracking.claim import TAG, WITHDRAWN, Claim, attempts, settings, take


@pytest.fixture
def store(tmp_path: Path, empty_store: bytes) -> MlflowClient:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def experiment(store: MlflowClient) -> str:
    return str(store.create_experiment("claims"))


def candidate(store: MlflowClient, experiment: str, claimed: Claim) -> str:
    run_id: str = store.create_run(experiment, tags={TAG: claimed.tag}).info.run_id
    return run_id


def test_an_attempt_belongs_to_the_first_that_takes_it(
    store: MlflowClient, experiment: str
) -> None:
    run_id = store.create_run(experiment).info.run_id
    assert take(store, run_id, 1, "a")
    assert not take(store, run_id, 1, "b")
    assert take(store, run_id, 1, "a")
    assert take(store, run_id, 2, "b")
    assert attempts(store.get_run(run_id).data.params) == ["a", "b"]


def test_attempts_are_in_order_and_no_settings() -> None:
    parameters = {"fae.attempt.10": "j", "lr": "1", "fae.attempt.2": "b", "fae.attempt.x": "?"}
    assert attempts(parameters) == ["b", "j"]
    assert settings(parameters) == {"lr": "1"}


Step = Callable[[], object]


class Starter:
    """A process that begins a run: it claims, looks for runs, creates a candidate, and decides."""

    def __init__(self, store: MlflowClient, experiment: str, name: str) -> None:
        self.store, self.experiment, self.name = store, experiment, name
        self.won: bool | None = None

    def steps(self) -> Iterator[None]:
        claimed = Claim(self.store, self.experiment, "subject")
        yield
        if any(run.data.params.get("fae.attempt.1") != WITHDRAWN for run in self.runs()):
            return
        yield
        run_id = candidate(self.store, self.experiment, claimed)
        yield
        self.won = claimed.win(run_id, self.name)
        if not self.won:
            claimed.withdraw(run_id)

    def runs(self) -> Any:
        return self.store.search_runs([self.experiment])


@pytest.mark.parametrize("order", sorted({*itertools.permutations([0] * 4 + [1] * 4)}))
def test_in_whatever_order_two_begin_one_of_them_computes(
    store: MlflowClient, experiment: str, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "WAIT_S", 0.0)
    starters = [Starter(store, experiment, name) for name in "ab"]
    running = [starter.steps() for starter in starters]
    for number in order:
        next(running[number], None)
    assert [starter.won for starter in starters].count(True) == 1
    (left,) = starters[0].runs()
    assert left.data.params["fae.attempt.1"] in "ab"


def test_of_many_that_begin_at_once_one_computes(store: MlflowClient, experiment: str) -> None:
    """They share a database; the look-up of a second try is left out, so that none may win."""
    together, won = threading.Barrier(6), []

    def start(name: str) -> None:
        claimed = Claim(store, experiment, "subject")
        together.wait()
        run_id = candidate(store, experiment, claimed)
        if claimed.win(run_id, name):
            won.append(run_id)
        else:
            claimed.withdraw(run_id)

    for _ in range(3):
        won.clear()
        threads = [threading.Thread(target=start, args=(f"{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) <= 1
        assert [run.info.run_id for run in store.search_runs([experiment])] == won
        for run_id in won:
            store.delete_run(run_id)


def test_runs_that_were_there_before_do_not_count(store: MlflowClient, experiment: str) -> None:
    """Whether they are running, the look-up after the claim tells."""
    first = Claim(store, experiment, "subject")
    assert first.win(candidate(store, experiment, first), "a")
    second = Claim(store, experiment, "subject")
    assert second.win(candidate(store, experiment, second), "b")


def test_other_subjects_do_not_count(store: MlflowClient, experiment: str) -> None:
    ours, theirs = (Claim(store, experiment, subject) for subject in ("ours", "theirs"))
    assert theirs.win(candidate(store, experiment, theirs), "a")
    assert ours.win(candidate(store, experiment, ours), "b")


def test_a_candidate_with_a_smaller_id_is_waited_for(
    store: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Claim(store, experiment, "subject")
    ids = sorted(candidate(store, experiment, ours) for _ in range(2))
    sleep: Step = lambda: take(store, ids[0], 1, "theirs")  # noqa: E731
    monkeypatch.setattr("time.sleep", lambda _: sleep())
    assert not ours.win(ids[1], "ours")
    assert attempts(store.get_run(ids[1]).data.params) == []


def test_a_candidate_that_does_not_decide_is_withdrawn(
    store: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "WAIT_S", 0.0)
    ours = Claim(store, experiment, "subject")
    ids = sorted(candidate(store, experiment, ours) for _ in range(2))
    assert ours.win(ids[1], "ours")
    assert attempts(store.get_run(ids[0]).data.params) == [WITHDRAWN]
    assert not take(store, ids[0], 1, "theirs")


def test_all_candidates_together_are_waited_for_no_longer_than_one(
    store: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr(claim, "time", clock)
    monkeypatch.setattr(claim, "POLL_S", 1.0)
    ours = Claim(store, experiment, "subject")
    *others, last = sorted(candidate(store, experiment, ours) for _ in range(4))
    assert ours.win(last, "ours")
    assert sum(slept) == claim.WAIT_S
    assert [attempts(store.get_run(other).data.params) for other in others] == [[WITHDRAWN]] * 3


@pytest.mark.long
def test_a_run_that_is_resumed_meanwhile_leaves_no_room_for_a_new_one(
    store: MlflowClient, experiment: str
) -> None:
    """By a process that sees its folder, where the other one does not."""
    first = Claim(store, experiment, "subject")
    left = candidate(store, experiment, first)
    assert first.win(left, "a")
    resuming, beginning = (Claim(store, experiment, "subject") for _ in range(2))
    assert take(store, left, 2, "b")
    assert not beginning.win(candidate(store, experiment, beginning), "c")
    assert resuming.withdraw_others(left)


def test_who_may_not_delete_closes_what_he_withdraws(
    store: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("403")

    monkeypatch.setattr(MlflowClient, "delete_run", refuse)
    ours = Claim(store, experiment, "subject")
    run_id = candidate(store, experiment, ours)
    ours.withdraw(run_id)
    assert store.get_run(run_id).info.status == "KILLED"
    taken = candidate(store, experiment, ours)
    take(store, taken, 1, "theirs")
    ours.withdraw(taken)
    assert store.get_run(taken).info.status == "RUNNING"


def test_a_taker_is_waited_for_while_it_gives_signs_of_life(
    store: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does while it restores a run; a taker that died is not waited for."""
    monkeypatch.setattr(claim, "WAIT_S", 0.3)
    run_id = store.create_run(experiment).info.run_id
    store.set_terminated(run_id, "KILLED")
    claimed, looks = Claim(store, experiment, "work"), 0
    read = store.get_run

    def look(_: str) -> Any:
        nonlocal looks
        looks += 1
        if looks < 10:
            store.set_tag(run_id, "fae.beat", f"{looks}")
        return read(run_id)

    monkeypatch.setattr(store, "get_run", look)
    claimed.wait_for_taker(run_id, 0)
    assert looks > 10
    looks = 10
    claimed.wait_for_taker(run_id, 0)
    assert looks < 20
