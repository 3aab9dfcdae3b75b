"""Studies: trials by several processes, cut short and gone on with."""

import platform
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, Trial
from pydantic import TypeAdapter

from fae.errors import ConfigError, StoreError
from fae.runtime.machine import Boot
from fae.tracking.address import of_file
from fae.tracking.lock import run_lock
from fae.tuning.space import SearchConfig
from fae.tuning.study import Study

SPACE = {"lr": {"low": 1e-3, "high": 10, "log": True}, "batch_size": {"low": 1, "high": 9}}
Make = Callable[..., Study]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def make(fingerprint: str = "1f", epochs: int = 9, address: str = "", **settings: Any) -> Study:
        default = {
            "space": SPACE,
            "trials": 6,
            "timeout": None,
            "sampler": "tpe",
            "pruner": "successive_halving",
            "repeats": 2,
            "name": None,
            "storage": None,
        }
        return Study(
            "study",
            TypeAdapter(SearchConfig).validate_python({**default, **settings}),
            storage=address or of_file(tmp_path / "optuna.db"),
            integer_keys=frozenset({"batch_size"}),
            fingerprint=fingerprint,
            epochs=epochs,
        )

    return make


def alive(_: FrozenTrial) -> bool:
    """What the store says of the process of a trial."""
    return False


def dead(_: FrozenTrial) -> bool:
    return True


def error(values: dict[str, Any]) -> float:
    return float(abs(values["lr"] - 1) + values["batch_size"])


def work(study: Study, folder: Path, most: int = 100) -> list[dict[str, Any]]:
    """Run trials as long as there are any; their values."""
    tried = []
    for _ in range(most):
        with study.claim(folder, alive) as claimed:
            if claimed is None:
                break
            trial, _ = claimed
            tried.append(trial.params)
            study.tell(trial, error(trial.params))
    return tried


def test_there_are_as_many_trials_as_were_requested(study: Make, tmp_path: Path) -> None:
    tried = work(study(), tmp_path)
    assert len(tried) == 6
    assert all(1e-3 <= t["lr"] <= 10 and t["batch_size"] in range(1, 10) for t in tried)
    assert work(study(), tmp_path) == []
    later = work(study(trials=8), tmp_path)
    assert len(later) == 2
    best = study().best
    assert best is not None
    assert best.error == min(map(error, [*tried, *later]))


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_a_study_that_was_cut_short_draws_the_same_values(
    study: Make, tmp_path: Path, sampler: str
) -> None:
    whole = work(study(sampler=sampler, trials=12), tmp_path)
    (tmp_path / "optuna.db").unlink()
    parts = [work(study(sampler=sampler, trials=12), tmp_path, most=5) for _ in range(3)]
    assert [values for part in parts for values in part] == whole
    assert len({tuple(values.items()) for values in whole}) == 12


def ask_at_once(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> list[tuple[int, dict[str, Any]] | None]:
    """Number and values of what two hosts claim, which both look before either asks."""
    hosts = []
    for name in ("one", "other"):
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / name))  # no lock is shared
        hosts.append(make(**settings))
    one, other = hosts
    ask = one._study.ask
    with ExitStack() as held:
        claims = []

        def ask_late() -> Trial:
            claims.append(held.enter_context(other.claim(folder / "other", alive)))
            return ask()

        monkeypatch.setattr(one._study, "ask", ask_late)
        claims.append(held.enter_context(one.claim(folder / "one", alive)))
        return [claim and (claim[0].number, claim[0].params) for claim in claims]


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "grid"])
def test_two_hosts_that_ask_at_once_draw_what_one_draws_alone(
    study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    space = {"lr": [0.1, 1.0], "batch_size": [1, 2, 3]} if sampler == "grid" else SPACE
    claims = ask_at_once(study, tmp_path, monkeypatch, sampler=sampler, space=space, trials=2)
    alone = study(sampler=sampler, space=space, trials=2, address=of_file(tmp_path / "alone.db"))
    assert claims == list(enumerate(work(alone, tmp_path)))


def test_two_hosts_that_ask_at_once_start_no_more_trials_than_planned(
    study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ask_at_once(study, tmp_path, monkeypatch, trials=1)
    assert first is not None
    assert second is None
    assert not study(trials=1).is_over
    resumed = work(study(trials=1), tmp_path)
    assert resumed == [first[1]]
    assert study(trials=1).is_over
    more = work(study(trials=3), tmp_path)
    alone = study(trials=3, address=of_file(tmp_path / "alone.db"))
    assert resumed + more == work(alone, tmp_path)
    assert [trial.number for trial in study(trials=3).finished] == [0, 1, 2]


def test_a_started_trial_is_run_though_fewer_are_requested_now(study: Make, tmp_path: Path) -> None:
    work(study(trials=2), tmp_path, most=1)
    with study(trials=2).claim(tmp_path, alive):
        pass
    fewer = study(trials=1)
    assert fewer.planned == 2
    assert not fewer.is_over
    assert len(work(fewer, tmp_path)) == 1
    assert fewer.is_over


def test_a_grid_is_tried_once(study: Make, tmp_path: Path) -> None:
    space = {"lr": [0.1, 1.0], "batch_size": [1, 2, 3]}
    tried = work(study(sampler="grid", space=space), tmp_path)
    assert sorted((t["lr"], t["batch_size"]) for t in tried) == [
        (lr, size) for lr in (0.1, 1.0) for size in (1, 2, 3)
    ]


def test_a_trial_whose_process_crashed_is_resumed(study: Make, tmp_path: Path) -> None:
    """With its values; a process that dies lets its lock go.

    In a folder of the resuming process: the study may name a folder of anything.
    """
    with study().claim(tmp_path / "first", alive) as claimed:
        assert claimed is not None
        values = claimed[0].params
    with study().claim(tmp_path / "second", alive) as again:
        assert again is not None
        assert (again[0].number, again[0].params) == (0, values)
        assert again[1] == tmp_path / "second" / "trial-0"


def test_a_copied_study_does_not_wait_for_the_original(study: Make, tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    with study(address=of_file(original / "optuna.db")).claim(
        original / "outputs", alive
    ) as claimed:
        assert claimed is not None
        shutil.copytree(original, copy)
        copied = study(address=of_file(copy / "optuna.db"))
        assert copied.running_elsewhere(alive) == []
        with copied.claim(copy / "outputs", alive) as again:
            assert again is not None
            assert again[0].number == 0
            assert [trial.number for trial in copied.running_elsewhere(alive)] == [0]


@pytest.mark.parametrize(
    "told",
    [
        {"host": platform.node(), "folder": "a\0b"},
        {"host": platform.node(), "folder": "\ud800"},
        {"host": platform.node(), "folder": 7},
        {"folder": "outputs"},
        {"host": ["here"], "folder": "outputs"},
        {"host": platform.node(), "folder": "loop"},
        {"host": platform.node(), "folder": "x" * 300},
        {"host": platform.node(), "folder": "not there"},
        {"host": "elsewhere", "folder": "outputs"},
        {"host": platform.node(), "boot": "another/boot", "folder": "outputs"},
        {"host": platform.node(), "boot": 7, "folder": "outputs"},
    ],
    ids=[
        "null",
        "surrogate",
        "number",
        "no host",
        "list",
        "loop",
        "long",
        "not there",
        "elsewhere",
        "rebooted",
        "no boot",
    ],
)
def test_of_a_trial_whose_folder_proves_nothing_the_store_decides(
    study: Make, tmp_path: Path, told: dict[str, Any]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "outputs").mkdir()
    begun = study()._study.ask()
    for key, value in told.items():
        begun.set_user_attr(key, value)
    assert [trial.number for trial in study().running_elsewhere(alive)] == [0]
    assert study().running_elsewhere(dead) == []


@pytest.mark.parametrize("boot", [None, str(Boot.current())])
def test_of_a_trial_of_this_boot_the_lock_of_its_folder_decides(
    study: Make, tmp_path: Path, boot: str | None
) -> None:
    """One of an earlier version names no boot."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    begun = study()._study.ask()
    begun.set_user_attr("host", platform.node())
    begun.set_user_attr("folder", "outputs")
    if boot:
        begun.set_user_attr("boot", boot)
    assert study().running_elsewhere(alive) == []
    with run_lock(folder, "trial.lock"):
        assert [trial.number for trial in study().running_elsewhere(dead)] == [0]


def test_a_trial_that_runs_in_another_process_is_left_alone(study: Make, tmp_path: Path) -> None:
    one, other = study(trials=2), study(trials=2)
    with one.claim(tmp_path, alive) as first, other.claim(tmp_path, alive) as second:
        assert first is not None
        assert second is not None
        assert (first[0].number, second[0].number) == (0, 1)
        with study(trials=2).claim(tmp_path, alive) as third:
            assert third is None
        assert [trial.number for trial in other.running_elsewhere(alive)] == [0, 1]
        for ours, claimed in ((one, first), (other, second)):
            ours.tell(claimed[0], 1.0)
    assert other.running_elsewhere(alive) == []


def test_a_trial_that_ends_while_another_process_looks_is_not_run_again(
    study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = study(trials=1), study(trials=1)
    is_locked = other._is_locked
    with ExitStack() as held:
        claimed = held.enter_context(one.claim(tmp_path, alive))
        assert claimed is not None

        def look_late(folder: str) -> bool:
            one.tell(claimed[0], 1.0)
            held.close()
            return is_locked(folder)

        monkeypatch.setattr(other, "_is_locked", look_late)
        with other.claim(tmp_path, alive) as second:
            assert second is None


def test_a_trial_whose_process_crashed_at_once_is_resumed(study: Make, tmp_path: Path) -> None:
    """Before it could say where it is."""
    study()._study.ask()
    with study().claim(tmp_path, dead) as claimed:
        assert claimed is not None
        assert claimed[0].number == 0


def test_trials_with_high_errors_are_pruned_at_a_third_of_the_epochs(
    study: Make, tmp_path: Path
) -> None:
    """Of nine: after three, unless among the best third of those that came so far."""
    ours = study()
    assert ours.epochs_saved == 0
    for errors in (1.0, 2.0, 0.5):
        with ours.claim(tmp_path, alive) as claimed:
            assert claimed is not None
            trial = claimed[0]
            pruned = [ours.should_prune(trial, epoch, errors) for epoch in range(1, 4)]
            assert pruned == [False, False, errors == 2.0]
            if pruned[-1]:
                ours.prune(trial)
            else:
                ours.tell(trial, errors)
    assert [trial.pruned for trial in ours.finished] == [False, True, False]
    assert ours.epochs_saved == pytest.approx(6 / 27)
    assert ours.best is not None
    assert ours.best.error == 0.5


def test_failed_trials_count_but_are_not_the_best(study: Make, tmp_path: Path) -> None:
    ours = study(trials=2)
    assert ours.first_failure == ""
    with ours.claim(tmp_path, alive) as first:
        assert first is not None
        ours.fail(first[0], "it diverged")
    with ours.claim(tmp_path, alive) as second:
        assert second is not None
        ours.tell(second[0], 3.0)
    assert ours.first_failure == "it diverged"
    assert work(ours, tmp_path) == []
    assert ours.best is not None
    assert ours.best.number == 1


def test_another_study_of_the_same_name_is_refused(study: Make) -> None:
    study()
    with pytest.raises(ConfigError, match=r"^search\.name=study: .*another space \(lr: 0\.001 to"):
        study(space={"lr": [1, 2]})
    with pytest.raises(ConfigError, match="another configuration, data or code"):
        study(fingerprint="2e")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path, study: Make) -> None:
    (tmp_path / "optuna.db").write_text("not a database" * 50)
    with pytest.raises(
        ConfigError, match=r"^search\.storage=sqlite:.*cannot be used \(.*move it away to"
    ):
        study()
    with pytest.raises(ConfigError, match="name a file in a writable folder"):
        study(address=of_file(tmp_path / "nowhere" / "optuna.db"))


@pytest.mark.parametrize(
    "table",
    [
        "studies",
        "study_user_attributes",
        "trials",
        "trial_params",
        "trial_values",
        "trial_user_attributes",
        "trial_intermediate_values",
    ],
)
def test_a_damaged_database_is_named(study: Make, tmp_path: Path, table: str) -> None:
    ours = study()
    with ours.claim(tmp_path, alive) as claimed:
        assert claimed is not None
        ours.should_prune(claimed[0], 1, 1.0)
        ours.tell(claimed[0], 1.0)
    file = tmp_path / "optuna.db"
    with closing(sqlite3.connect(file)) as database:
        root = f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"
        ((page,),) = database.execute(root)
        ((size,),) = database.execute("PRAGMA page_size")
    content = bytearray(file.read_bytes())
    content[(page - 1) * size : page * size] = b"damaged." * (size // 8)
    file.write_bytes(content)
    told = f"optuna.db: cannot be used .*malformed.*{file} .recover"
    with pytest.raises((ConfigError, StoreError), match=told), (again := study()).storage_errors():
        work(again, tmp_path)


def test_a_study_lies_in_a_file_of_any_name(study: Make, tmp_path: Path) -> None:
    odd = tmp_path / "{what} 100% #1 ü"
    odd.mkdir()
    assert len(work(study(address=of_file(odd / "optuna.db"), trials=1), tmp_path)) == 1
    assert [file.name for file in odd.iterdir()] == ["optuna.db"]


def test_what_matters_is_the_more_important(study: Make, tmp_path: Path) -> None:
    ours = study(trials=30, sampler="random", pruner="none")
    assert ours.importances() == {}
    while True:
        with ours.claim(tmp_path, alive) as claimed:
            if claimed is None:
                break
            ours.tell(claimed[0], claimed[0].params["batch_size"])
    found = ours.importances()
    assert list(found) == ["batch_size", "lr"]
    assert found["batch_size"] > 0.8
