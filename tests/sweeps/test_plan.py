"""Plans of commands: what they show, and that nothing is computed twice."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, environment, runs
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.runs.task import Task, look_up
from fae.sweeps import sweep
from fae.sweeps.plan import show
from fae.tracking.archive import Archive
from fae.tracking.store import Store

Tiny = Callable[..., Config]


@pytest.mark.parametrize(
    ("asked", "described"),
    [
        (["epochs=6"], "new: run {} with epochs=3 cannot be extended"),
        (["epochs=2"], "new: run {} with epochs=3 cannot be shortened"),
        (["epochs=3"], "done: test 0.0400, run {}"),
        (["epochs=6", "sweep.rerun=true"], "new"),
        (["epochs=6", "lr=0.4"], "new"),
        (["epochs=6", "optimizer.momentum=0.4"], "new"),
        (["epochs=6", "seed=8"], "new"),
    ],
)
def test_a_run_that_differs_in_its_epochs_alone_is_named(
    tiny: Tiny,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    asked: list[str],
    described: str,
) -> None:
    given = "seed=7", f"tracking.experiment={tmp_path.name}"
    stored = tiny("epochs=3", *given)
    with Store(stored.tracking).run(
        "it",
        kind="run",
        folder=tmp_path,
        command="",
        parameters=stored.parameters(),
        tags={"fae.fingerprint": Task(stored, []).fingerprint},
    ) as made:
        made.log_metrics({"test/mse": 0.04}, step=3)
    config = tiny(*given, *asked)
    archive = Archive(config.tracking)
    show("plan", look_up([Task(config, [])], archive, config.sweep), archive, asked=1)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split("    ")[-1] == described.format(made.id[:8])


def test_a_run_whose_folder_is_gone_is_named(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny("seed=7", f"tracking.experiment={tmp_path.name}")
    one, folder = Task(config, []), tmp_path / "run"
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
        f"new: run {made.id[:8]} was interrupted, and its folder is not where it was; "
        "if it was moved, python -m fae.sync finds it"
    )


def test_a_run_that_is_retried_was_not_interrupted(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = "seed=7", f"tracking.experiment={tmp_path.name}", "sweep.retry_failed=true"
    task = Task(tiny(*given), [])
    opened = Store(task.config.tracking).run(
        "it",
        kind="run",
        folder=tmp_path,
        command="",
        parameters=task.config.parameters(),
        tags={"fae.fingerprint": task.fingerprint},
    )
    with suppress(RuntimeError), opened:
        raise RuntimeError
    archive = Archive(task.config.tracking)
    show("plan", look_up([task], archive, task.config.sweep), archive, asked=1)
    assert capsys.readouterr().out.splitlines()[1].split("    ")[-1] == "new"


def begun(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The process of the train command, with a store of its own in a folder."""
    return forking.Popen(
        [sys.executable, "-m", "fae.train", *arguments, "experiment=smoke", "hidden=4", NO_LOCAL],
        cwd=folder,
        env=environment(f"sqlite:///{folder}/mlflow.db"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The train command, with a store of its own in a folder."""
    with begun(folder, *arguments) as process:
        said = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def test_a_plan_alone_makes_nothing(tmp_path: Path) -> None:
    done = command(tmp_path, "-m", "seed=0,1,1", "sweep.plan_only=true")
    assert done.returncode == 0, done.stderr
    title, first, second, last = done.stdout.splitlines()
    assert title == "seed=0,1,1 experiment=smoke hidden=4: 2 runs, 1 asked for twice"
    assert first.split("  ")[0] == " hidden=4 seed=0"
    assert second.rstrip().endswith("new")
    assert last == "no estimate: no run like these was made here before"
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize("seeds", ["range(1001)", "range(1000000000)"])
def test_a_sweep_of_too_many_runs_is_refused_at_once(tmp_path: Path, seeds: str) -> None:
    done = command(tmp_path, "-m", f"seed={seeds}")
    assert done.returncode == 2
    assert "sweep.max_jobs=1000: this sweep has" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_given_takes_the_place_of_a_presets_grid_in_it(tmp_path: Path) -> None:
    given = ["experiment=digits", "hidden=4,8", "sweep.max_jobs=2", "sweep.plan_only=true"]
    done = forking.run(
        [sys.executable, "-m", "fae.train", "-m", *given, NO_LOCAL],
        cwd=tmp_path,
        env=environment(f"sqlite:///{tmp_path}/mlflow.db"),
        timeout=300,
    )
    assert done.stdout.startswith("experiment=digits hidden=4,8: 2 runs\n"), done.stderr


@pytest.mark.long
def test_so_is_one_of_too_many_repeats(tmp_path: Path) -> None:
    done = command(tmp_path, "-m", "batch_size=range(1,101)", "repeats=1000")
    assert done.returncode == 2
    assert "sweep.max_jobs=1000: this sweep has 100000 runs" in done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_sweep_waits_for_a_run_of_another_process(tmp_path: Path) -> None:
    """And runs it itself if that ends before it is done."""
    config = compose(
        NO_LOCAL, "experiment=smoke", "hidden=4", f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'"
    )
    theirs = Task(config, [])
    (tmp_path / "theirs").mkdir()
    said: list[str] = []
    with (
        suppress(KeyboardInterrupt),
        Store(config.tracking).run(
            "theirs",
            kind="run",
            folder=tmp_path / "theirs",
            command="",
            tags={"fae.fingerprint": theirs.fingerprint},
        ) as run,
    ):
        process = begun(tmp_path, "-m", "seed=0,1")
        assert process.stdout
        while not (said and said[-1].startswith("  hidden=4 seed=0: running in another process")):
            said.append(process.stdout.readline())
            assert said[-1], said
        raise KeyboardInterrupt
    said += process.communicate(timeout=100)[0].splitlines(keepends=True)
    assert process.returncode == 0
    assert "waiting for runs of other processes:\n" in said
    client = MlflowClient(config.tracking.uri)
    assert [run.info.status for run in runs(client, "sweep", tmp_path)] == ["FINISHED"]
    assert client.get_run(run.id).info.status == "FINISHED"


@pytest.mark.long
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
    assert {task.fingerprint for task in asked} == known
    assert len(runs(client, "run", tmp_path)) == 3
