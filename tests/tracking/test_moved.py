"""Projects that were moved or copied: what was stored is found, and what is new lies with it."""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from fae.cli.compose import compose
from fae.runs import checks
from fae.tracking.address import of_file
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import home
from fae.tracking.moved import Move
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun
from fae.tracking.sync import sync


@pytest.fixture
def made(tmp_path: Path, empty_store: bytes) -> Path:
    """A project in a folder of an odd name, with an interrupted run that another process made."""
    project = tmp_path / "my project"
    folder = project / "outputs" / "run"
    folder.mkdir(parents=True)
    (project / "mlflow.db").write_bytes(empty_store)
    opened = Store(tracking(project)).run(
        "first", kind="run", folder=folder, command="", tags={"fae.slurm.folder": str(folder)}
    )
    with suppress(KeyboardInterrupt), opened as run:
        run.log_text("hello", "greeting.txt")
        raise KeyboardInterrupt
    _artifact_repos_cache.clear()  # MLflow remembers the places of runs in this one
    return project


def tracking(project: Path) -> TrackingConfig:
    return replace(compose(NO_LOCAL).tracking, uri=of_file(project / "mlflow.db"))


@pytest.fixture(params=["moved", "copied"])
def project(tmp_path: Path, made: Path, request: pytest.FixtureRequest) -> Path:
    """Where the project is now; a copy leaves the old one as it was."""
    now = tmp_path / "50% there?"
    shutil.copytree(made, now)
    if request.param == "moved":
        shutil.rmtree(made)
    return now


def test_a_location_within_the_old_folder_is_one_within_the_new() -> None:
    move = Move(Path("/a b"), Path("/c%"))
    assert move.now("/a b/mlruns/0") == "/c%/mlruns/0"
    assert move.now("file:///a%20b/mlruns/1/artifacts") == "file:///c%25/mlruns/1/artifacts"
    for other in ("/a bc/mlruns", "/c%/mlruns", "mlflow-artifacts:/1", "s3://a b/mlruns"):
        assert move.now(other) == other


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def the_run(archive: Archive) -> StoredRun:
    (run,) = archive.runs("run")
    return run


def test_what_was_stored_is_found_and_nothing_is_changed(project: Path) -> None:
    before = files(project.parent)
    archive = Archive(tracking(project))
    assert archive.move == Move(project.parent / "my project", project)
    run = the_run(archive)
    assert archive.text(run, "greeting.txt") == "hello"
    assert home(run) == home(run, "fae.slurm.folder") == project / "outputs" / "run"
    assert files(project.parent) == before


def test_what_is_new_lies_with_what_was_moved(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for MLflow itself, which looks where the database says."""
    original, folder = project.parent / "my project", project / "outputs" / "run"
    before = files(original)
    run = the_run(Archive(tracking(project)))
    store = Store(tracking(project))
    assert capsys.readouterr().out == (
        f"{original} is now {project}; the paths in mlflow.db are updated\n"
    )
    with store.run("first", kind="run", folder=folder, command="", resume=run) as again:
        again.log_text("goodbye", "later.txt")
    (project / "new").mkdir()
    with store.run("second", kind="run", folder=project / "new", command="") as new:
        new.log_text("welcome", "first.txt")
    assert files(original) == before
    client = MlflowClient(store.uri)
    for run_id, names in ((run.id, {"greeting.txt", "later.txt"}), (new.id, {"first.txt"})):
        place = Path(client.download_artifacts(run_id, ""))
        assert place.is_relative_to(project)
        assert {file.name for file in place.iterdir()} == names
    assert Archive(tracking(project)).move is None
    Store(tracking(project))
    assert capsys.readouterr().out == ""


def test_the_doctor_sees_it_and_sync_mends_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    config = compose(NO_LOCAL, "data=synthetic")
    moved = f"{project.parent / 'my project'} is now {project}"
    assert moved in [f.state.partition(",")[0] for f in checks.store(config, "sync") if f.remedy]
    sync([], config.tracking)
    assert moved in capsys.readouterr().out
    assert [f for f in checks.store(config, "sync") if f.remedy] == []


def test_a_database_without_its_files_is_left_as_it_is(made: Path, tmp_path: Path) -> None:
    """As a backup is, whose runs' files are where they were."""
    (tmp_path / "backup" / "mlruns").mkdir(parents=True)
    shutil.copy(made / "mlflow.db", tmp_path / "backup")
    archive = Archive(tracking(tmp_path / "backup"))
    assert archive.move is None
    assert archive.text(the_run(archive), "greeting.txt") == "hello"
