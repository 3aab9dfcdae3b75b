"""The store: refused when unusable, true about how a run ended."""

import dataclasses
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import Interrupted, StoreError
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.run import Run
from fae.tracking.store import Store

Tiny = Callable[..., Config]


@pytest.fixture
def tracking(tiny: Tiny) -> TrackingConfig:
    return tiny().tracking


def end(tracking: TrackingConfig, folder: Path, error: BaseException | None) -> str:
    """Open a run, end it by ``error``, and hand back its id."""
    opened: list[Run] = []
    with (
        pytest.raises(type(error)) if error else nullcontext(),
        Store(tracking).run("ends", kind="run", folder=folder, command="") as run,
    ):
        opened.append(run)
        if error:
            raise error
    return opened[0].id


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (RuntimeError("boom"), "FAILED"),
        (SystemExit(-1), "KILLED"),
        (Interrupted(signal.SIGTERM), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
    ids=str,
)
def test_a_run_ends_as_its_block_did(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    error: BaseException | None,
    status: str,
) -> None:
    assert client.get_run(end(tracking, tmp_path, error)).info.status == status


def test_a_time_limit_of_submitit_is_no_failure(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where its handler was not replaced, as by ``fae.fit`` in a job of one's own."""

    class UncompletedJobError(RuntimeError):
        """As submitit's."""

    module = SimpleNamespace(UncompletedJobError=UncompletedJobError)
    monkeypatch.setitem(sys.modules, "submitit.core.utils", cast("ModuleType", module))
    error = UncompletedJobError("Job not requeued because: timed-out too many times.")
    assert client.get_run(end(tracking, tmp_path, error)).info.status == "KILLED"


def test_the_folder_leads_to_the_run(tracking: TrackingConfig, tmp_path: Path) -> None:
    run_id = end(tracking, tmp_path, None)
    assert json.loads((tmp_path / "run.json").read_text())["run_id"] == run_id


def test_metrics_of_a_step_are_stored_together(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    with Store(tracking).run("metrics", kind="run", folder=tmp_path, command="") as run:
        run.log_metrics({"a": 1.0, "b": 2.0}, step=3)
    for key, value in {"a": 1.0, "b": 2.0}.items():
        (point,) = client.get_metric_history(run.id, key)
        assert (point.value, point.step) == (value, 3)


def test_system_metrics_of_a_resumed_run_come_after_those_it_has(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    store = Store(dataclasses.replace(tracking, system_metrics=True))

    def steps(run_id: str) -> list[int]:
        key = "system/cpu_utilization_percentage"
        return [point.step for point in client.get_metric_history(run_id, key)]

    run_id = None
    for _ in range(2):
        resumed = Archive(tracking).run(run_id) if run_id else None
        opened = store.run("seen", kind="run", folder=tmp_path, command="", resume=resumed)
        with suppress(KeyboardInterrupt), opened as run:
            run_id = run.id
            before, deadline = len(steps(run_id)), time.monotonic() + 30
            while len(steps(run_id)) < before + 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            raise KeyboardInterrupt
    assert run_id is not None
    found = steps(run_id)
    assert len(found) >= 4
    assert found == list(range(len(found)))


def test_artifacts_lie_beside_the_database(tmp_path: Path, tracking: TrackingConfig) -> None:
    store = Store(tracking)
    assert store.uri == tracking.uri
    beside = Path(tracking.uri.removeprefix("sqlite:///")).parent / "mlruns"
    with store.run("artifact", kind="run", folder=tmp_path, command="") as run:
        run.log_text("hello", "greeting.txt")
    assert (beside / run.id / "artifacts" / "greeting.txt").read_text() == "hello"


def test_a_file_that_is_no_database_is_refused(tracking: TrackingConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be looked at" * 10)
    other = dataclasses.replace(tracking, uri=f"sqlite:///{tmp_path}/notes.txt")
    with pytest.raises(StoreError, match=r"notes.txt: not a database that can be written"):
        Store(other)
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


def test_a_database_where_no_folder_can_be_is_refused(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    other = dataclasses.replace(tracking, uri=f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(StoreError, match="not a database that can be written"):
        Store(other)


def test_a_database_of_another_mlflow_is_refused(tracking: TrackingConfig, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('of_the_future')")
        database.commit()
    other = dataclasses.replace(tracking, uri=f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(StoreError, match=r"MLflow cannot use it .*mlflow db upgrade"):
        Store(other)


def test_a_server_that_is_away_is_refused_at_once(tracking: TrackingConfig) -> None:
    other = dataclasses.replace(tracking, uri="http://127.0.0.1:9")
    with pytest.raises(StoreError, match="no MLflow server answers there"):
        Store(other)


def test_a_deleted_experiment_is_refused(tracking: TrackingConfig, client: MlflowClient) -> None:
    gone = dataclasses.replace(tracking, experiment="gone")
    client.delete_experiment(Store(gone).experiment_id)
    with pytest.raises(StoreError, match="mlflow experiments restore"):
        Store(gone)


def test_a_new_experiment_says_what_it_is_until_its_owner_says_otherwise(
    tracking: TrackingConfig, client: MlflowClient
) -> None:
    def note() -> str:
        described = dataclasses.replace(tracking, experiment="described")
        return client.get_experiment(Store(described).experiment_id).tags["mlflow.note.content"]

    assert note().startswith("Auto-encoders trained by `fae`")
    found = client.get_experiment_by_name("described")
    assert found
    client.set_experiment_tag(found.experiment_id, "mlflow.note.content", "mine")
    assert note() == "mine"
