"""Opening an experiment in a store, with messages about what is in the way."""

import logging
import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from fae.errors import NoStoreError, StoreError, first_line
from fae.runtime.console import warn
from fae.tracking.address import file_of, of_file
from fae.tracking.artifacts import check_writable
from fae.tracking.config import TrackingConfig
from fae.tracking.limits import limit_answers
from fae.tracking.moved import Move, find_move

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from requests import Response

DATABASE_TIMEOUT_S = 3
SERVER_TIMEOUT_S = 3.0
"""How long a server may take for its first answer, unless MLFLOW_HTTP_REQUEST_TIMEOUT tells."""
HTTP = {"MAX_RETRIES": "1", "TIMEOUT": "10"}
"""MLflow's retries and timeout; by default 7 retries, which take 4 minutes."""
TABLES = "SELECT name FROM sqlite_master"
NOTE = """Auto-encoders trained by `fae`: how well does a network reconstruct images from n numbers?

- A run trains one network. `test/mse` is its error on the test images (mean squared error per
  pixel, 0 to 1), `train/mse` and `val/mse` those after each epoch, `time/fit_s` the seconds of
  training. Its figures, configuration and model are among its artifacts.
- A sweep or a search has its runs nested below it. `test/mse` has a step for each n, `fae.verdict`
  compares with published results, and the report is among its artifacts.
- A reproduction is a run that was trained again; `fae.reproduction` tells whether it is identical
  with the run that `fae.reproduces` names.
- Views (above the list of runs) show the latest sweeps and searches: curves, errors,
  reconstructions.
"""
"""Describes a new experiment on its page, Markdown; users may change it."""
WITHOUT_START = (
    "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name = ? "
    "AND runs.lifecycle_stage = 'active' AND start_time IS NULL"
)
"""Runs that have no start time, as in a damaged database."""


class Connection(NamedTuple):
    """A client of a store, and the experiment there.

    Attributes:
        move: how the project was moved, if its database still has the old paths.
    """

    client: "MlflowClient"
    experiment_id: str
    move: Move | None


def connect(config: TrackingConfig, *, create: bool) -> Connection:
    """Open the experiment that ``config`` names.

    Args:
        create: create what is missing (the database, its tables, the experiment), one process
            at a time, and update the paths in the database of a project that was moved; otherwise
            the store is not changed.

    Raises:
        StoreError: it cannot be opened, or does not exist and is not to be created; or this
            process is to write, and artifacts cannot be written.
    """
    path = file_of(config.uri)
    if path and create:
        return _open_or_make(config, path)
    if path:
        _check_database(config, path)
    else:
        _check_server(config.uri)
    return _open(config, create=create)


def _open_or_make(config: TrackingConfig, path: Path) -> Connection:
    """Open an experiment in a database file, and create what is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists() or not _select(path, TABLES):
                _make(path)
            if not os.access(path, os.W_OK):
                raise PermissionError("read-only file")
            connection = _open(config, create=True)
            if connection.move:
                connection.move.apply(path)
            return connection._replace(move=None)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"tracking.uri={config.uri}: not a database that can be written ({error}); "
            "name another file, or a server"
        ) from error


def _check_database(config: TrackingConfig, path: Path) -> None:
    """Check that a file contains a store, since opening it would create one; warn of damaged runs.

    Of a list of runs with one in it that has no start time MLflow can read none, and does not say
    which it is.
    """
    named = f"tracking.uri={config.uri}"
    if not path.is_file():
        raise NoStoreError(
            f"{named}: there is no such store; go to the folder where runs were made, or name "
            "their store"
        )
    try:
        if "experiments" not in _select(path, TABLES):
            raise NoStoreError(f"{named}: an empty database; no run was ever stored there")
        unreadable = _select(path, WITHOUT_START, config.experiment)
    except sqlite3.Error as error:
        raise StoreError(f"{named}: not a database that can be read ({error})") from error
    if unreadable:
        ids = ", ".join(run_id[:8] for run_id in unreadable)
        warn(f"{named}: without a start time, and left out: run {ids}")


def _select(path: Path, query: str, *values: str) -> list[str]:
    """The only column that is selected.

    The database is opened for writing, so that SQLite first undoes an unfinished transaction of a
    killed process.
    """
    opened = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=DATABASE_TIMEOUT_S)
    with closing(opened) as database:
        return [value for (value,) in database.execute(query, values)]


def _make(path: Path) -> None:
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
        SqlAlchemyStore(of_file(beside), _artifacts(path))
    beside.replace(place)


def _check_server(uri: str) -> None:
    """Check that an MLflow server answers promptly and accepts the user's credentials."""
    _prepare_mlflow()
    named = f"tracking.uri={uri}"
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
    if answer.status_code == 401:
        raise StoreError(
            f"{named}: does not know you; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what it knows"
        )
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if answer.status_code in {200, 404} and kind != "application/json":
        url = answer.url.partition("?")[0]
        elsewhere = "" if url.startswith(uri) else f", redirected to {url}"
        raise StoreError(
            f"{named}: what answers there is no MLflow server ({answer.status_code}, {kind}"
            f"{elsewhere}); give the address that the MLflow UI has, without what follows #"
        )


def _ask(uri: str) -> "Response":
    """Ask for an experiment as MLflow would; any answer of an MLflow server will do, unread."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    response: Response = http_request(
        get_default_host_creds(uri),
        "/api/2.0/mlflow/experiments/get-by-name",
        "GET",
        params={"experiment_name": "Default"},
        timeout=_timeout_s(),
        max_retries=0,
        raise_on_status=False,
        stream=True,
    )
    response.close()
    return response


def _timeout_s() -> float:
    """Seconds that a server may take for its first answer."""
    given = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", HTTP["TIMEOUT"])
    return SERVER_TIMEOUT_S if given == HTTP["TIMEOUT"] else float(given)


def _origin(error: BaseException) -> BaseException:
    """The first error in a chain of causes and contexts."""
    while before := error.__cause__ or (not error.__suppress_context__ and error.__context__):
        error = before
    return error


@contextmanager
def asking(uri: str, problem: str = "cannot be read or written") -> Iterator[None]:
    """Turn any error within the block into one that names the store and the problem.

    Raises:
        StoreError: it is not reachable, is damaged, or lacks what was asked for.
    """
    try:
        yield
    except Exception as error:  # an answer of a server may be anything
        raise StoreError(f"tracking.uri={uri}: {problem} ({first_line(error)})") from error


def _prepare_mlflow() -> None:
    """Set MLflow to few retries and no output."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name, value in HTTP.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    limit_answers()
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # its errors are raised as well


def _open(config: TrackingConfig, *, create: bool) -> Connection:
    uri, name, path = config.uri, config.experiment, file_of(config.uri)
    _prepare_mlflow()
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None and create:
            try:
                artifacts = _artifacts(path) if path else None
                client.create_experiment(name, artifacts, tags={MLFLOW_RUN_NOTE: NOTE})
            except MlflowException as error:  # another client may create it at the same moment
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.name != name:
            raise ValueError("it answers with another experiment")
    except Exception as error:  # an answer of a server may be anything
        remedy = f"mlflow db upgrade {shlex.quote(uri)} may fix it" if path else "ask there"
        raise StoreError(
            f"tracking.uri={uri}: MLflow cannot use it ({first_line(error)}); was it made "
            f"by another version? {remedy}"
        ) from error
    if experiment is None:
        raise NoStoreError(
            f"tracking.experiment={name}: not in {uri}; no run was stored there under it"
        )
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"tracking.experiment={name}: was deleted in the MLflow UI; "
            f"restore it with mlflow experiments restore -x {experiment.experiment_id}"
        )
    location = experiment.artifact_location
    move = find_move(path, location) if path else None
    if create:
        check_writable(move.now(location) if move else location, uri)
    return Connection(client, str(experiment.experiment_id), move)


def _artifacts(database: Path) -> str:
    """Where the artifacts of the runs in a database lie."""
    return (database.parent / "mlruns").as_uri()
