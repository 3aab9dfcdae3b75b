"""Opening an experiment in a store, with messages about what is in the way."""

import logging
import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING

from filelock import FileLock

from fae.errors import NoStoreError, StoreError, first_line
from fae.runtime.console import say
from fae.tracking.address import file_of, of_file, without_password
from fae.tracking.config import TrackingConfig
from fae.tracking.limits import limit_answers
from fae.tracking.moved import Move, find_move

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

DATABASE_TIMEOUT_S = 3
SERVER_TIMEOUT_S = 3
"""How long a server may take for its first answer."""
HTTP = {"MAX_RETRIES": "1", "TIMEOUT": "10"}
"""MLflow's retries and timeout; by default 7 retries, which take 4 minutes."""


@dataclass(frozen=True)
class Connection:
    """A client of a store, and the experiment there.

    Attributes:
        move: how the project was moved, if its database still has the old paths.
    """

    uri: str
    client: "MlflowClient"
    experiment_id: str
    move: Move | None = None


def connect(config: TrackingConfig, *, create: bool) -> Connection:
    """Open the experiment that ``config`` names.

    Args:
        create: create what is missing (the database, its tables, the experiment), one process
            at a time, and update the paths in the database of a project that was moved; otherwise
            the store is not changed.

    Raises:
        StoreError: it cannot be opened, or does not exist and is not to be created.
    """
    path = file_of(config.uri)
    if path is None:
        _prepare_mlflow()
        _check_server(config.uri)
        return _open(config.uri, config.experiment, None, create=create)
    artifacts = (path.parent / "mlruns").as_uri()
    if not create:
        _check_tables(config.uri, path)
        return _open(config.uri, config.experiment, artifacts, create=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not _tables(path):
                _make(path, artifacts)
            if not os.access(path, os.W_OK):
                raise PermissionError("read-only file")
            connection = _open(config.uri, config.experiment, artifacts, create=True)
            if connection.move:
                update_paths(path, connection.move)
            return replace(connection, move=None)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"tracking.uri={config.uri}: not a database that can be written ({error}); "
            "name another file, or a server"
        ) from error


def update_paths(database: Path, move: Move) -> None:
    """Update the paths in the database of a project that was moved.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    move.apply(database)
    say(f"{move}; the paths in {database.name} are updated")


def _check_tables(uri: str, path: Path) -> None:
    """Check that a file contains a store, since opening it would create one."""
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


def without_start(path: Path, experiment_id: str) -> list[str]:
    """Ids of runs that have no start time, as in a damaged database.

    Of a list of runs with one of these in it MLflow can read none, and does not say which it is.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    asked = (
        "SELECT run_uuid FROM runs WHERE start_time IS NULL AND experiment_id = ? "
        "AND lifecycle_stage = 'active'"
    )
    with closing(sqlite3.connect(path, timeout=DATABASE_TIMEOUT_S)) as database:
        return [run_id for (run_id,) in database.execute(asked, [int(experiment_id)])]


def _tables(path: Path) -> set[str]:
    """Names of a database's tables; none if there is no file.

    Opened for writing, so that SQLite first undoes an unfinished transaction of a killed process.
    """
    if not path.exists():
        return set()
    there = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=DATABASE_TIMEOUT_S)
    with closing(there) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def _make(path: Path, artifacts: str) -> None:
    """Create a database under another name, and move it to its place once it is complete.

    MLflow needs seconds and many steps, and what a killed process leaves is unusable. By default
    it would keep the artifacts of experiment 0 in the working folder, whose path it writes into
    SQL unescaped.
    """
    _prepare_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    place = path.resolve()
    beside = place.with_name(f".{place.name}.part")
    for left in (f"{place}-journal", f"{beside}-journal", beside):
        Path(left).unlink(missing_ok=True)
    with asking(of_file(path)):
        SqlAlchemyStore(of_file(beside), artifacts)
    beside.replace(place)


def _check_server(uri: str) -> None:
    """Check that an MLflow server answers promptly and accepts the user's credentials."""
    named = f"tracking.uri={without_password(uri)}"
    try:
        answer = _ask(uri)
    except Exception as error:
        origin = _origin(error)
        reason = first_line(origin)
        if isinstance(origin, SSLCertVerificationError):
            raise StoreError(
                f"{named}: its certificate is not trusted ({reason}); name the file of its "
                "authority by MLFLOW_TRACKING_SERVER_CERT_PATH, or trust any by "
                "MLFLOW_TRACKING_INSECURE_TLS=true"
            ) from error
        raise StoreError(
            f"{named}: no MLflow server answers there ({reason}); "
            "start one, or leave tracking.uri out to use a file"
        ) from error
    if answer.status == 401:
        raise StoreError(
            f"{named}: does not know you; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what it knows"
        )
    if answer.status in {200, 404} and answer.kind != "application/json":
        elsewhere = "" if answer.url.startswith(uri) else f", redirected to {answer.url}"
        raise StoreError(
            f"{named}: what answers there is no MLflow server ({answer.status}, {answer.kind}"
            f"{elsewhere}); give the address that the MLflow UI has, without what follows #"
        )


@dataclass(frozen=True)
class _Answer:
    """What identifies an MLflow server: HTTP status, media type, and the address that answered."""

    status: int
    kind: str
    url: str


def _ask(uri: str) -> _Answer:
    """Ask for an experiment as MLflow would; any answer of an MLflow server will do."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with http_request(
        get_default_host_creds(uri),
        "/api/2.0/mlflow/experiments/get-by-name",
        "GET",
        params={"experiment_name": "Default"},
        timeout=SERVER_TIMEOUT_S,
        max_retries=0,
        raise_on_status=False,
        stream=True,
    ) as response:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        return _Answer(response.status_code, kind, response.url.partition("?")[0])


def _origin(error: BaseException) -> BaseException:
    """The first error in a chain of causes and contexts."""
    while before := error.__cause__ or (not error.__suppress_context__ and error.__context__):
        error = before
    return error


@contextmanager
def asking(uri: str) -> Iterator[None]:
    """Turn any error of the store within the block into one that names the store.

    Raises:
        StoreError: it is not reachable, is damaged, or lacks what was asked for.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # an answer of a server may be anything
        raise StoreError(
            f"tracking.uri={uri}: cannot be read or written ({first_line(error)})"
        ) from error


def _create_experiment(
    client: "MlflowClient", name: str, artifacts: str | None
) -> "Experiment | None":
    """The experiment, also where another client creates it at the same moment."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_experiment(name, artifacts)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.get_experiment_by_name(name)


def _client(uri: str) -> "MlflowClient":
    _prepare_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _prepare_mlflow() -> None:
    """Set MLflow to few retries and no output."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name, value in HTTP.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    limit_answers()
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # its errors are raised as well


def _open(uri: str, name: str, artifacts: str | None, *, create: bool) -> Connection:
    try:
        client = _client(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None and create:
            experiment = _create_experiment(client, name, artifacts)
        if experiment is not None and experiment.name != name:
            raise ValueError("it answers with another experiment")
    except Exception as error:  # an answer of a server may be anything
        upgrade = f"mlflow db upgrade {shlex.quote(uri)} may fix it"
        remedy = upgrade if file_of(uri) else "ask there"
        raise StoreError(
            f"tracking.uri={uri}: MLflow cannot use it ({first_line(error)}); was it made "
            f"by another version? {remedy}"
        ) from error
    if experiment is None:
        raise NoStoreError(
            f"tracking.experiment={name}: not in {uri}; no run was ever "
            "stored there under that name"
        )
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"tracking.experiment={name}: was deleted in the MLflow UI; "
            f"restore it with mlflow experiments restore -x {experiment.experiment_id}"
        )
    path = file_of(uri)
    move = find_move(path, experiment.artifact_location) if path else None
    return Connection(uri, client, str(experiment.experiment_id), move)
