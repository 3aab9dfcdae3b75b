"""Reaching an experiment in a store, or saying why it cannot be reached."""

import logging
import os
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fae.config import SQLITE, TrackingConfig
from fae.errors import NoStoreError, StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER_TIMEOUT_S = 3
HTTP = {"MAX_RETRIES": "1", "TIMEOUT": "10"}
"""MLflow's own patience with a server, 7 retries and 4 minutes by default."""


@dataclass(frozen=True)
class Connection:
    """A client of a store, and the experiment there."""

    uri: str
    client: "MlflowClient"
    experiment_id: str


def connect(config: TrackingConfig, *, create: bool) -> Connection:
    """Open the experiment that ``config`` names.

    Args:
        create: make what is missing (the database, its tables, the experiment), one process
            at a time; otherwise leave a store as it is.

    Raises:
        StoreError: it cannot be opened, or is not there and not to be made.
    """
    if not config.uri.startswith(SQLITE):
        _check_server(config.uri)
        return _open(config, artifacts=None, create=create)
    path = Path(config.uri.removeprefix(SQLITE))
    artifacts = (path.parent / "mlruns").as_uri()
    if not create:
        _check_tables(config.uri, path)
        return _open(config, artifacts, create=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not _tables(path):
                _make(config, path, artifacts)
            if not os.access(path, os.W_OK):
                raise PermissionError("read-only file")
            return _open(config, artifacts, create=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"tracking.uri={config.uri}: not a database that can be written ({error}); "
            "name another file, or a server"
        ) from error


def _check_tables(uri: str, path: Path) -> None:
    """Make sure that a file holds a store, since opening it would make one."""
    if not path.is_file():
        raise NoStoreError(
            f"tracking.uri={uri}: there is no such store; go to the folder where runs were made, "
            "or name their store"
        )
    try:
        found = "experiments" in _tables(path)
    except sqlite3.Error as error:
        raise StoreError(
            f"tracking.uri={uri}: not a database that can be read ({error})"
        ) from error
    if not found:
        raise NoStoreError(f"tracking.uri={uri}: an empty database; no run was ever stored there")


def _tables(path: Path) -> set[str]:
    """Names of a database's tables; none where there is no file.

    Opened to be written, as what a process left that was killed while it wrote is mended first.
    """
    if not path.exists():
        return set()
    there = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=SERVER_TIMEOUT_S)
    with closing(there) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def _make(config: TrackingConfig, path: Path, artifacts: str) -> None:
    """Make a database beside its place, and put it there whole.

    MLflow takes seconds and many steps; what a process leaves that dies then is of no use.
    """
    place = path.resolve()
    beside = place.with_name(f".{place.name}.part")
    for left in (f"{place}-journal", f"{beside}-journal", beside):
        Path(left).unlink(missing_ok=True)
    _open(replace(config, uri=f"{SQLITE}{beside}"), artifacts, create=True)
    beside.replace(place)


def _check_server(uri: str) -> None:
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=SERVER_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise StoreError(
            f"tracking.uri={uri}: no MLflow server answers there ({error}); "
            "start one, or leave tracking.uri out to use a file"
        ) from error


@contextmanager
def asking(uri: str) -> Iterator[None]:
    """Names the store where it does not do what it is asked, in whichever way it does not.

    Raises:
        StoreError: it is away, damaged, or does not know the thing.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"tracking.uri={uri}: cannot be read or written ({first_line(error)})"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of what an error says, or else its kind."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _client(uri: str) -> "MlflowClient":
    """MLflow's client, MLflow itself told to be brief and quiet."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name, value in HTTP.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # its errors are raised as well
    return MlflowClient(uri)


def _open(config: TrackingConfig, artifacts: str | None, *, create: bool) -> Connection:
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = _client(config.uri)
        experiment = client.get_experiment_by_name(config.experiment)
        if experiment is None and create:
            made = client.create_experiment(config.experiment, artifacts)
            return Connection(config.uri, client, str(made))
    except (MlflowException, SQLAlchemyError, CommandError) as error:
        raise StoreError(
            f"tracking.uri={config.uri}: MLflow cannot use it ({first_line(error)}); was it made "
            f"by another version? mlflow db upgrade {config.uri} may mend it"
        ) from error
    if experiment is None:
        raise NoStoreError(
            f"tracking.experiment={config.experiment}: not in {config.uri}; no run was ever "
            "stored there under that name"
        )
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"tracking.experiment={config.experiment}: was deleted in the MLflow UI; "
            f"restore it with mlflow experiments restore -x {experiment.experiment_id}"
        )
    return Connection(config.uri, client, str(experiment.experiment_id))
