"""What becomes of a run, by what the store knows of it."""

import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import forking
import pytest
from conftest import NO_LOCAL, environment, runs
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.runs.checkpoint import checkpoint_path
from fae.sweeps import sweep
from fae.sweeps.plan import Task, look_up, show, task
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.folder import Link
from fae.tracking.store import Store

Tiny = Callable[..., Config]


class Known:
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
    Link(run_id, "", "", "", "").write(folder)
    return folder


def planned(config: Config, *known: StoredRun) -> Task:
    (found,) = look_up([task(config, [])], cast("Archive", Known(*known)), config.sweep)
    return found


def test_a_run_that_the_store_does_not_know_begins(tiny: Tiny) -> None:
    assert planned(tiny()).state == "begins"
    (found,) = look_up([task(tiny(), [])], None, tiny().sweep)
    assert found.state == "begins"


@pytest.mark.parametrize(
    ("statuses", "state", "outlook"),
    [
        (["FINISHED"], "done", "done: test 0.0400, run 01234567"),
        (["FINISHED", "FAILED", "KILLED"], "done", "done: test 0.0400, run 01234567"),
        (["KILLED"], "goes on", "goes on after epoch 0 of 2, run 01234567"),
        (["FAILED"], "failed", "failed before: no reason stored; sweep.retry_failed=true"),
        (["KILLED", "FAILED"], "failed", "failed before: no reason stored"),
        (["FAILED", "KILLED"], "goes on", "goes on after epoch 0 of 2, run 01234567"),
        (["RUNNING"], "running", "another process is at it, run 01234567"),
    ],
)
def test_what_becomes_of_a_run_follows_from_those_before(
    tiny: Tiny, tmp_path: Path, statuses: list[str], state: str, outlook: str
) -> None:
    folder = used_by(ID, tmp_path)
    found = planned(tiny(), *(run(status, folder) for status in statuses))
    assert found.state == state
    assert found.outlook().startswith(outlook)
    assert found.to_do == (state == "goes on")
    assert (found.origin is not None) == (state == "goes on")


def test_an_interrupted_run_whose_folder_is_gone_begins_anew(tiny: Tiny, tmp_path: Path) -> None:
    assert planned(tiny(), run("KILLED", tmp_path / "gone")).state == "begins"
    assert planned(tiny(), run("KILLED", tmp_path)).state == "begins"


def test_a_run_whose_folder_another_has_used_begins_anew(tiny: Tiny, tmp_path: Path) -> None:
    assert planned(tiny(), run("KILLED", used_by("another", tmp_path))).state == "begins"


def test_a_run_that_goes_on_is_the_less_work_the_more_was_saved(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("epochs=4")
    (used_by(ID, tmp_path) / "checkpoints").mkdir()
    checkpoint_path(tmp_path, 3).touch()
    assert planned(config, run("KILLED", tmp_path)).work == planned(config).work / 4


def test_what_failed_begins_anew_when_asked_to(tiny: Tiny, tmp_path: Path) -> None:
    used_by(ID, tmp_path)
    assert planned(tiny("sweep.retry_failed=true"), run("FAILED", tmp_path)).state == "begins"
    assert planned(tiny("sweep.retry_failed=true"), run("KILLED", tmp_path)).state == "goes on"


def test_everything_begins_anew_when_asked_to(tiny: Tiny, tmp_path: Path) -> None:
    for status in ("FINISHED", "FAILED", "KILLED"):
        assert planned(tiny("sweep.rerun=true"), run(status, tmp_path)).state == "begins"


@pytest.mark.parametrize(
    ("asked", "outlook"),
    [
        (["epochs=6"], "begins anew: run {} with epochs=3 cannot be extended"),
        (["epochs=2"], "begins anew: run {} with epochs=3 cannot be shortened"),
        (["epochs=3"], "done: test 0.0400, run {}"),
        (["epochs=6", "sweep.rerun=true"], "begins"),
        (["epochs=6", "lr=0.4"], "begins"),
        (["epochs=6", "optimizer.momentum=0.4"], "begins"),
        (["epochs=6", "seed=8"], "begins"),
    ],
)
def test_a_run_that_differs_in_its_epochs_alone_is_named(
    tiny: Tiny,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    asked: list[str],
    outlook: str,
) -> None:
    given = "seed=7", f"tracking.experiment={tmp_path.name}"
    stored = tiny("epochs=3", *given)
    with Store(stored.tracking).run(
        "it",
        kind="run",
        folder=tmp_path,
        command="",
        parameters=stored.parameters(),
        tags={"fae.fingerprint": task(stored, []).fingerprint},
    ) as made:
        made.log_metrics({"test/mse": 0.04}, step=3)
    config = tiny(*given, *asked)
    archive = Archive(config.tracking)
    show("plan", look_up([task(config, [])], archive, config.sweep), archive, asked=1)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split("    ")[-1] == outlook.format(made.id[:8])


def test_a_run_whose_folder_is_gone_is_named(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny("seed=7", f"tracking.experiment={tmp_path.name}")
    one, folder = task(config, []), tmp_path / "run"
    folder.mkdir()
    opened = Store(config.tracking).run(
        "it",
        kind="run",
        folder=folder,
        command="",
        parameters=config.parameters(),
        tags={"fae.fingerprint": one.fingerprint},
    )
    with suppress(KeyboardInterrupt), opened as made:
        raise KeyboardInterrupt
    folder.rename(tmp_path / "moved")
    archive = Archive(config.tracking)
    show("plan", look_up([one], archive, config.sweep), archive, asked=1)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.endswith(
        f"begins anew: run {made.id[:8]} was interrupted, and its folder is not where it was; "
        "if it was moved, python -m fae.sync finds it"
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The train command, with a store of its own in a folder."""
    return forking.run(
        [sys.executable, "-m", "fae.train", *arguments, "experiment=smoke", "hidden=4", NO_LOCAL],
        cwd=folder,
        env=environment(f"sqlite:///{folder}/mlflow.db"),
        timeout=300,
    )


def test_a_plan_alone_makes_nothing(tmp_path: Path) -> None:
    done = command(tmp_path, "-m", "seed=0,1,1", "sweep.plan_only=true")
    assert done.returncode == 0, done.stderr
    title, first, second, last = done.stdout.splitlines()
    assert title == "seed=0,1,1 experiment=smoke hidden=4: 2 runs, 1 asked for twice"
    assert first.split("  ")[0] == " hidden=4 experiment=smoke seed=0"
    assert second.rstrip().endswith("begins")
    assert last == "no estimate: no run like these was made here before"
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize("seeds", ["range(1001)", "range(1000000000)"])
def test_a_sweep_of_too_many_runs_is_refused_at_once(tmp_path: Path, seeds: str) -> None:
    done = command(tmp_path, "-m", f"seed={seeds}")
    assert done.returncode == 2
    assert "sweep.max_jobs=1000: this sweep has" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_so_is_one_of_too_many_repeats(tmp_path: Path) -> None:
    done = command(tmp_path, "-m", "batch_size=range(1,101)", "repeats=1000")
    assert done.returncode == 2
    assert "sweep.max_jobs=1000: this sweep has 100000 runs" in done.stderr


@pytest.mark.usefixtures("own_store")
def test_a_sweep_one_of_whose_runs_is_another_processs_is_not_done(tmp_path: Path) -> None:
    config = compose(
        NO_LOCAL, "experiment=smoke", "hidden=4", f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'"
    )
    theirs = task(config, [])
    (tmp_path / "theirs").mkdir()
    with Store(config.tracking).run(
        "theirs",
        kind="run",
        folder=tmp_path / "theirs",
        command="",
        tags={"fae.fingerprint": theirs.fingerprint},
    ):
        done = command(tmp_path, "-m", "seed=0,1")
    assert done.returncode == 1
    assert "failed  hidden=4 experiment=smoke seed=0: another process is at it" in done.stdout
    assert done.stderr == "fae: 1 of 2 runs failed: hidden=4 experiment=smoke seed=0\n"
    client = MlflowClient(config.tracking.uri)
    assert [run.info.status for run in runs(client, "sweep", tmp_path)] == ["FAILED"]


@pytest.mark.usefixtures("own_store")
def test_the_same_sweep_again_runs_nothing(tmp_path: Path) -> None:
    """Nor what another sweep or a single run has done; all of it is in the report."""
    assert command(tmp_path, "-m", "seed=0,1").returncode == 0
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    again = command(tmp_path, "-m", "seed=1,0")
    assert again.returncode == 0, again.stderr
    assert "2 runs, 0 to do" in again.stdout
    assert (len(runs(client, "run", tmp_path)), len(runs(client, "sweep", tmp_path))) == (2, 1)
    alone = command(tmp_path, "seed=1")
    assert alone.returncode == 0
    assert "done: test 0." in alone.stdout
    more = command(tmp_path, "-m", "seed=0,1,2")
    assert more.returncode == 0, more.stderr
    assert "3 runs, 1 to do" in more.stdout
    assert "(3)" in more.stdout
    known = {run.data.tags["fae.fingerprint"] for run in runs(client, "run", tmp_path)}
    asked = sweep.planned(["repeats=3", "experiment=smoke", "hidden=4", NO_LOCAL])
    assert {one.fingerprint for one in asked} == known
    assert len(runs(client, "run", tmp_path)) == 3
