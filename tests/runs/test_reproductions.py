"""Runs and sweeps that are reproduced in turn, and what the terminal shows of it."""

from dataclasses import replace
from typing import Any, cast

import pytest
from conftest import NO_LOCAL
from records import stored

from fae.cli.compose import compose
from fae.errors import (
    ConfigError,
    FaeError,
    ReproductionError,
    StoreError,
    TrainingError,
    UndeliveredError,
)
from fae.runs import reproductions
from fae.runs.comparison import Deviation
from fae.runs.job import Job
from fae.runs.reproduction import Original, Reproduction
from fae.runs.reproductions import reproduce_all, runs_of_sweep, table
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

WORSE = [Deviation("val/mse", 2, 1.5e-9, 2.5e-8), Deviation("weights", None, 0.5, 0.25)]


class Store:
    """An archive of three runs, two of which are a sweep's, with a third of another kind."""

    def __init__(self) -> None:
        self.all = {
            "run": [replace(stored("a1"), name="first"), stored("b1"), stored("b2")],
            "sweep": [stored("c1"), stored("d1"), stored("d2")],
        }
        self.all["run"][2] = replace(self.all["run"][2], status="KILLED")

    def runs(self, kind: str) -> list[StoredRun]:
        return self.all[kind]

    def runs_of(self, sweep: StoredRun) -> list[StoredRun]:
        return self.all["run"][1:] if sweep.id == "c1" else []


@pytest.fixture
def archive() -> Archive:
    return cast(Archive, Store())


@pytest.mark.parametrize(("name", "ids"), [("a", []), ("x", []), ("c", ["b1"])])
def test_the_finished_runs_of_a_sweep_are_found_by_its_id(
    archive: Archive, name: str, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [run.id for run in runs_of_sweep(name, archive)] == ids
    told = "warning: run b2 (run b2): is KILLED, and is left out\n"
    assert capsys.readouterr().out == (told if name == "c" else "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d", "RUN=d: 2 sweeps have ids that begin so"),
        ("d1", "RUN=d1: no run of this sweep has finished"),
    ],
)
def test_a_sweep_that_cannot_be_reproduced_is_refused(
    archive: Archive, name: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        runs_of_sweep(name, archive)
    assert str(refused.value) == message


def made(run_id: str, *deviations: Deviation, lacking: str = "", **more: Any) -> Reproduction:
    run = TrainedRun.of(stored(run_id), cast(Archive, None))
    config = compose(NO_LOCAL, "experiment=smoke")
    return Reproduction(
        Original(run, config, {}), "f" * 32, [*deviations], more.get("differences", []), lacking
    )


def test_each_run_has_a_row_with_the_largest_differences() -> None:
    assert table([made("a1"), made("b1", *WORSE)]) == {
        "run": ["a1", "b1"],
        "name": ["run a1", "run b1"],
        "result": ["identical", "differs from epoch 2 on"],
        "train/loss": ["same", "same"],
        "train/mse": ["same", "same"],
        "val/mse": ["same", "1.5e-09 (2.5e-08)"],
        "test/mse": ["same", "same"],
        "weights": ["same", "5.0e-01 (2.5e-01)"],
    }


SAME, OTHER = made("a1"), made("b1", *WORSE, differences=["threads: 2; now 1"])
DIVERGED = TrainingError("loss is nan")


@pytest.mark.parametrize(
    ("outcomes", "error", "message", "said"),
    [
        (
            [SAME],
            None,
            "",
            [
                "run 0 (run 0): identical (reproduction: run ffffffff)",
                "what runs record of code, libraries and machine is the same as then",
            ],
        ),
        (
            [OTHER],
            ReproductionError,
            "run 0 (run 0): not reproduced bit for bit",
            [
                "run 0 (run 0): differs from epoch 2 on (reproduction: run ffffffff)",
                "Largest differences, and in brackets as shares of what was there before.",
                "different between then and now:",
                "  threads: 2; now 1",
            ],
        ),
        ([SAME, SAME], None, "", ["run 0 (run 0): identical (reproduction: run ffffffff)"]),
        ([SAME, OTHER], ReproductionError, "1 of 2 runs: not reproduced bit for bit", []),
        (
            [DIVERGED, SAME],
            ReproductionError,
            "1 of 2 runs: not reproduced bit for bit",
            [
                "run 0 (run 0): loss is nan",
                "run 1 (run 1): identical (reproduction: run ffffffff)",
            ],
        ),
        ([DIVERGED], ReproductionError, "run 0 (run 0): not reproduced bit for bit", []),
        ([made("a1", lacking="the rest")], UndeliveredError, "the rest", []),
        (
            [made("a1", lacking="the rest"), StoreError("gone")],
            UndeliveredError,
            "gone\nthe rest",
            ["run 0 (run 0): identical (reproduction: run ffffffff)"],
        ),
        ([StoreError("gone"), SAME], StoreError, "gone", []),
    ],
)
def test_the_command_says_how_it_went(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcomes: list[Reproduction | FaeError],
    error: type[FaeError] | None,
    message: str,
    said: list[str],
) -> None:
    runs = [TrainedRun.of(stored(str(n)), cast(Archive, None)) for n in range(len(outcomes))]
    jobs: list[Job] = []
    left = iter(outcomes)

    def reproduced(again: Original, job: Job) -> Reproduction:
        jobs.append(job)
        outcome = next(left)
        if isinstance(outcome, FaeError):
            raise outcome
        return replace(outcome, original=again)

    config = compose(NO_LOCAL, "experiment=smoke")
    monkeypatch.setattr(reproductions, "original", lambda run, *_: Original(run, config, {}))
    monkeypatch.setattr(reproductions, "reproduce", reproduced)
    if error is None:
        reproduce_all(runs, config, None, ["data.root=/d"])
    else:
        with pytest.raises(error) as raised:
            reproduce_all(runs, config, None, ["data.root=/d"])
        assert str(raised.value) == message
        assert raised.value.exit_code == (3 if issubclass(error, StoreError) else 1)
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line in said] == said
    assert jobs[0].command == "python -m fae.reproduce 0 data.root=/d"
    places = [f"[{n + 1}/{len(runs)}] " for n in range(len(runs))] if len(runs) > 1 else [""]
    labels = [f"{place}reproduction of run {n}" for n, place in enumerate(places)]
    assert [job.label for job in jobs] == labels[: len(jobs)]
    assert len(jobs) == len(labels) or (error and issubclass(error, StoreError))


def test_all_are_checked_before_the_first_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [TrainedRun.of(stored(name), cast(Archive, None)) for name in ("a1", "b1")]

    def checked(run: TrainedRun, *_: object) -> Original:
        if run is runs[1]:
            raise StoreError("gone")
        return cast(Original, None)

    monkeypatch.setattr(reproductions, "original", checked)
    monkeypatch.setattr(reproductions, "reproduce", lambda *_: pytest.fail("it began"))
    with pytest.raises(StoreError, match="gone"):
        reproduce_all(runs, compose(NO_LOCAL, "experiment=smoke"), None, [])
