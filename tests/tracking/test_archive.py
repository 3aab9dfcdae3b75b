"""The archive's questions, in plain words, and the tags that MLflow's pages read."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import StoreError
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store

Tiny = Callable[..., Config]


@pytest.fixture
def tracking(tiny: Tiny) -> TrackingConfig:
    return tiny().tracking


@pytest.fixture
def ids(tracking: TrackingConfig, tmp_path: Path) -> dict[str, str]:
    """The ids of three runs, the second nested in the first, the third failed, by their names."""
    store = Store(tracking)
    found: dict[str, str] = {}

    def add(name: str, error: Exception | None = None, parent: str | None = None) -> None:
        parameters = {"data": f"{name}'s", "hidden": 8}
        with store.run(
            name,
            kind="trial",
            folder=tmp_path / name / "trial-1",
            command="",
            parent=parent,
            parameters=parameters,
        ) as run:
            found[name] = run.id
            if error:
                raise error

    add("first")
    add("second", parent=found["first"])
    with pytest.raises(StoreError):
        add("third", StoreError("boom"))
    return found


def test_a_library_that_is_missing_is_named(
    tracking: TrackingConfig, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ids
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(StoreError, match=r"MLflow cannot use it \(import of mlflow halted"):
        Archive(tracking)


def test_runs_are_those_for_which_all_that_is_given_holds(
    tracking: TrackingConfig, ids: dict[str, str]
) -> None:
    archive = Archive(tracking)
    first, second, third = ids.values()

    def found(**wanted: object) -> list[str]:
        runs = archive.runs("trial", **wanted)  # type: ignore[arg-type]
        return [run.id for run in runs if run.id in ids.values()]

    assert found() == [first, second, third]
    assert archive.runs("run", ids=[first]) == []
    assert found(ids=[]) == []
    assert found(ids=[third, first]) == [first, third]
    assert found(parent=first) == [second]
    assert found(status="FAILED") == [third]
    assert found(folder="trial-1") == [first, second, third]
    assert found(folder="1") == []
    assert found(parameters={"data": "second's", "hidden": 8}) == [second]
    assert found(parameters={"data": "second's", "hidden": 9}) == []
    assert found(status="FINISHED", ids=[second, third]) == [second]
    assert [archive.run(run_id).parent for run_id in ids.values()] == ["", first, ""]


def test_metrics_that_had_another_name_are_read_by_that_of_today(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    """Of a run that an earlier version began and this one resumed, both names are stored."""
    with Store(tracking).run("a", kind="run", folder=tmp_path / "a", command="") as run:
        run.log_metrics({"hidden/dead": 3.0, "model/parameters": 580.0, "test/mse": 0.5}, step=1)
        run.log_metrics({"time/train_s": 1.0, "time/epoch_s": 2.0}, step=1)
        run.log_metrics({"wall_clock/train_s": 3.0, "wall_clock/epoch_s": 4.0}, step=2)
    assert Archive(tracking).run(run.id).metrics == {
        "weights/dead_units": 3.0,
        "weights/count": 580.0,
        "test/mse": 0.5,
        "wall_clock/train_s": 3.0,
        "wall_clock/epoch_s": 4.0,
    }


@pytest.mark.parametrize(("commit", "shown"), [("a" * 40, "a" * 40), ("unknown", None)])
def test_a_page_shows_a_commit_that_is_known_and_the_note(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    commit: str,
    shown: str | None,
) -> None:
    folder = tmp_path / "run"
    tags = {"fae.commit": commit}
    with Store(tracking).run("a", kind="run", folder=folder, command="", tags=tags) as run:
        run.set_note("**bold**")
    stored = client.get_run(run.id).data.tags
    assert stored["fae.commit"] == commit
    assert stored.get("mlflow.source.git.commit") == shown
    assert stored["mlflow.note.content"] == "**bold**"
