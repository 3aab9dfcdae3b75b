"""Runs of other processes: waited for, and taken over once they are silent."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest

from fae.config import Config
from fae.errors import StoreError
from fae.runs import others
from fae.runs.others import Others
from fae.runs.task import State, Task
from fae.tracking.archive import Archive
from fae.tracking.liveness import Watch
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
RUN = StoredRun("0" * 32, "other", "RUNNING", 0, None, {}, {}, {"fae.host": "elsewhere"})


class Runs:
    """A store with one run of another process, whose states follow each other."""

    def __init__(self, *runs: StoredRun | StoreError) -> None:
        self.coming = [*runs]
        self.taken: list[str] = []

    def run(self, _: str) -> StoredRun:
        coming = self.coming.pop(0)
        if isinstance(coming, StoreError):
            raise coming
        return coming

    def take_over(self, run: StoredRun) -> bool:
        self.taken.append(run.id)
        return True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "POLL_S", 0.0)
    monkeypatch.setattr(others, "close_crashed", lambda _: [])


def waiting(tiny: Tiny, runs: Runs, silence_s: float = 600) -> Others:
    found = Others(cast("Archive", runs), tiny().tracking)
    found.watch = Watch(silence_s)
    return found


def test_a_run_is_waited_for_until_it_ends(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """What is waited for is said once, an outage of the store once as well."""
    task = replace(Task(tiny(), []), state=State.RUNNING, run=RUN)
    ends = [replace(task, state=State.DONE)]
    away = StoreError("away")
    states: list[list[Task] | StoreError] = [[task], away, away, [task], ends]

    def look_up(_: Sequence[Task]) -> list[Task]:
        found = states.pop(0)
        if isinstance(found, StoreError):
            raise found
        return found

    assert waiting(tiny, Runs()).wait([task], look_up) == []
    assert states == []
    assert capsys.readouterr().out.splitlines() == [
        "waiting for runs of other processes:",
        f"  {task.name}: running in another process on elsewhere, run 00000000",
        "warning: away; waiting for it",
    ]


def test_a_run_whose_process_died_is_returned(tiny: Tiny) -> None:
    task = replace(Task(tiny(), []), state=State.RUNNING, run=RUN)
    dead = replace(task, state=State.RESUMABLE)
    assert waiting(tiny, Runs()).wait([task], lambda _: [dead]) == [dead]


def test_a_run_that_failed_elsewhere_is_not_tried_again(tiny: Tiny) -> None:
    """Even if failed runs are to be retried, or two processes would do so in turns for ever."""
    task = replace(Task(tiny(), []), state=State.RUNNING, run=RUN)
    failed = replace(task, state=State.NEW, run=None)
    assert waiting(tiny, Runs()).wait([task], lambda _: [failed]) == []


def test_a_silent_run_is_taken_over(tiny: Tiny) -> None:
    runs = Runs(RUN, replace(RUN, status="KILLED"))
    assert waiting(tiny, runs, silence_s=0).wait_for_end(RUN).status == "KILLED"
    assert runs.taken == [RUN.id, RUN.id]


def test_a_run_of_a_locked_folder_is_never_taken_over(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "is_here", lambda _: True)
    runs = Runs(RUN, replace(RUN, status="FINISHED"))
    assert waiting(tiny, runs, silence_s=0).wait_for_end(RUN).status == "FINISHED"
    assert runs.taken == []


def test_one_sign_of_life_is_enough_to_know_that_a_run_is_alive(tiny: Tiny) -> None:
    runs = Runs(RUN, replace(RUN, metrics={"a": 1.0}))
    assert waiting(tiny, runs).is_alive(RUN)
    assert runs.coming == []


def test_a_run_that_was_withdrawn_is_not_waited_for(tiny: Tiny) -> None:
    """It stays RUNNING in the store, deleted."""
    withdrawn = replace(RUN, attempts=["withdrawn"])
    assert waiting(tiny, Runs(withdrawn)).wait_for_end(RUN) == withdrawn
    assert not waiting(tiny, Runs(withdrawn)).is_alive(RUN)


def test_without_one_it_is_dead(tiny: Tiny) -> None:
    runs = Runs(replace(RUN, status="KILLED"))
    assert not waiting(tiny, runs, silence_s=0).is_alive(RUN)
    assert runs.taken == [RUN.id]
