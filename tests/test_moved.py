"""Projects that were moved or copied: what was stored is found, and what is new lies with it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from mlflow import MlflowClient

from fae.compose import compose
from fae.config import TrackingConfig
from fae.tracking import Archive, Store, close_dead, home
from fae.tracking.moved import Move, find_move


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in a folder of an odd name, with an interrupted run."""
    project = tmp_path_factory.mktemp("here") / "my project"
    folder = project / "outputs" / "run"
    folder.mkdir(parents=True)
    with (
        pytest.raises(KeyboardInterrupt),
        Store(tracking(project)).run("first", kind="run", folder=folder, command="") as run,
    ):
        run.log_text("hidden: 4\n", "config.yaml")
        raise KeyboardInterrupt
    return project


def tracking(project: Path) -> TrackingConfig:
    return replace(compose(NO_LOCAL).tracking, uri=f"sqlite:///{project}/mlflow.db")


@pytest.fixture(params=["moved", "copied"])
def project(tmp_path: Path, made: Path, request: pytest.FixtureRequest) -> Path:
    """Where the project is now; a copy leaves the old one as it was."""
    original, now = tmp_path / "original", tmp_path / "50% there?"
    shutil.copytree(made, original)
    old = str(made)
    Move(made, original).mend(original / "mlflow.db")
    assert find_move(original / "mlflow.db", (original / "mlruns").as_uri()) is None
    assert old != str(original)
    shutil.copytree(original, now)
    if request.param == "moved":
        shutil.rmtree(original)
    return now


def test_a_location_within_the_old_folder_is_one_within_the_new() -> None:
    move = Move(Path("/a b"), Path("/c%"))
    assert move.now("/a b/mlruns/0") == "/c%/mlruns/0"
    assert move.now("file:///a%20b/mlruns/1/artifacts") == "file:///c%25/mlruns/1/artifacts"
    for other in ("/a bc/mlruns", "/c%/mlruns", "mlflow-artifacts:/1", "s3://a b/mlruns"):
        assert move.now(other) == other
