"""What becomes of a run, by what the store knows of it."""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fae.config import Config
from fae.runs.job import JobGroup
from fae.runs.task import Task, look_up, work
from fae.tracking.archive import Archive
from fae.tracking.checkpoints import checkpoint_path
from fae.tracking.folder import Link
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]


class Stored:
    """What a plan asks of an archive, in memory."""

    def __init__(self, *runs: StoredRun) -> None:
        self.runs = list(runs)

    def unfinished(self) -> list[StoredRun]:
        return []

    def alike(self, _: str, fingerprints: list[str]) -> dict[str, list[StoredRun]]:
        return {fingerprints[0]: self.runs}


ID = "0123456789"


def run(status: str, folder: Path) -> StoredRun:
    tags = {"fae.folder": str(folder), "fae.host": platform.node()}
    return StoredRun(ID, "run", status, 0, 1, {}, {"test/mse": 0.04}, tags)


def used_by(run_id: str, folder: Path) -> Path:
    """A folder as a run leaves it."""
    Link(run_id, "", "", "fae", "").write(folder)
    return folder


def planned(config: Config, *stored: StoredRun) -> Task:
    (found,) = look_up([Task(config, [])], cast("Archive", Stored(*stored)), config.sweep)
    return found


def test_a_run_that_the_store_does_not_know_is_new(tiny: Tiny) -> None:
    assert planned(tiny()).state == "new"
    (found,) = look_up([Task(tiny(), [])], None, tiny().sweep)
    assert found.state == "new"


@pytest.mark.parametrize(
    ("statuses", "state", "described"),
    [
        (["FINISHED"], "done", "done: test 0.0400, run 01234567"),
        (["FINISHED", "FAILED", "KILLED"], "done", "done: test 0.0400, run 01234567"),
        (["KILLED"], "resumable", "starts over in run 01234567, which has no checkpoint"),
        (["FAILED"], "failed", "failed before: no reason stored; sweep.retry_failed=true"),
        (["KILLED", "FAILED"], "failed", "failed before: no reason stored"),
        (["FAILED", "KILLED"], "resumable", "starts over in run 01234567, which has no checkpoint"),
        (["RUNNING"], "running", "running in another process, run 01234567"),
    ],
)
def test_what_becomes_of_a_run_follows_from_those_before(
    tiny: Tiny, tmp_path: Path, statuses: list[str], state: str, described: str
) -> None:
    folder = used_by(ID, tmp_path)
    found = planned(tiny(), *(run(status, folder) for status in statuses))
    assert found.state == state
    assert found.describe().startswith(described)
    assert found.to_run == (state == "resumable")
    assert (found.folder is not None) == (state == "resumable")


def test_an_interrupted_run_whose_folder_is_gone_is_new(tiny: Tiny, tmp_path: Path) -> None:
    assert planned(tiny(), run("KILLED", tmp_path / "gone")).state == "new"
    assert planned(tiny(), run("KILLED", tmp_path)).state == "new"


def test_a_run_whose_folder_another_has_used_is_new(tiny: Tiny, tmp_path: Path) -> None:
    assert planned(tiny(), run("KILLED", used_by("another", tmp_path))).state == "new"


def test_a_resumable_run_is_the_less_work_the_more_was_saved(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("epochs=4")
    (used_by(ID, tmp_path) / "checkpoints").mkdir()
    checkpoint_path(tmp_path, 3).touch()
    assert planned(config, run("KILLED", tmp_path)).work == planned(config).work / 4


def test_a_run_whose_folder_is_not_here_resumes_from_the_store(tiny: Tiny, tmp_path: Path) -> None:
    """With the epoch that a tag names, which anyone may have written."""
    config, gone = tiny("epochs=4"), run("KILLED", tmp_path / "gone")

    def with_tag(tag: str) -> Task:
        return planned(config, replace(gone, tags={**gone.tags, "fae.checkpoint": tag}))

    found = with_tag("3 a")
    assert (found.state, found.folder, found.epochs_done) == ("resumable", None, 3)
    assert found.work == planned(config).work / 4
    assert found.describe() == "resumes after epoch 3 of 4 from the store, run 01234567"
    assert with_tag("999 a").epochs_done == 4
    assert with_tag("../3 a").state == "new"


def test_a_run_whose_folder_is_here_resumes_from_there(tiny: Tiny, tmp_path: Path) -> None:
    (used_by(ID, tmp_path) / "checkpoints").mkdir()
    checkpoint_path(tmp_path, 3).touch()
    killed = run("KILLED", tmp_path)
    found = planned(
        tiny("epochs=4"), replace(killed, tags={**killed.tags, "fae.checkpoint": "2 a"})
    )
    assert (found.folder, found.epochs_done, found.is_from_store) == (tmp_path, 3, False)


def test_what_failed_is_new_when_asked_for(tiny: Tiny, tmp_path: Path) -> None:
    used_by(ID, tmp_path)
    assert planned(tiny("sweep.retry_failed=true"), run("FAILED", tmp_path)).state == "new"
    assert planned(tiny("sweep.retry_failed=true"), run("KILLED", tmp_path)).state == "resumable"


def test_everything_is_new_when_asked_for(tiny: Tiny, tmp_path: Path) -> None:
    for status in ("FINISHED", "FAILED", "KILLED"):
        assert planned(tiny("sweep.rerun=true"), run(status, tmp_path)).state == "new"


def test_a_rerun_resumes_what_the_same_sweep_has_begun(tiny: Tiny, tmp_path: Path) -> None:
    """As after a launcher broke down; whatever else the store has does not count."""
    config = tiny("sweep.rerun=true")
    group = JobGroup(parent="sweep", started=5.0, work=[1.0])
    killed = run("KILLED", used_by(ID, tmp_path))
    ours = replace(killed, started=6000, tags={**killed.tags, "mlflow.parentRunId": "sweep"})
    others = (run("FINISHED", tmp_path), killed)
    for stored, state in (([*others, ours], "resumable"), (others, "new")):
        archive = cast("Archive", Stored(*stored))
        (found,) = look_up([Task(config, [])], archive, config.sweep, group)
        assert found.state == state


def test_work_is_the_images_that_pass_through_the_hidden_units(tiny: Tiny) -> None:
    """And through 30 more, for what a step costs whatever its size."""
    train = tiny().data.train
    assert work(tiny("hidden=70"), 2) == pytest.approx(2 * 100 * train / 1000)
    limited = tiny("hidden=70", "trainer.limit_batches=3", "batch_size=10")
    assert work(limited, 2) == pytest.approx(2 * 100 * 30 / 1000)
