"""MLflow's UI: the command that starts it, and the page on which it shows a run."""

import shlex
from pathlib import Path

from fae.tracking.address import file_of
from fae.tracking.archive import Archive

LOCAL = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` listens."""
DEFAULT_STORE = "mlflow.db"
"""The file in the working directory that ``mlflow ui`` shows if it is given none."""


def links(uri: str, address: str) -> list[tuple[str, str]]:
    """What to do to see a page, as labels and targets: first start the UI, unless it is a server.

    Args:
        uri: of the store.
        address: of the page.
    """
    file = file_of(uri)
    if file is None:
        return [("open", address)]
    store = [] if file == Path.cwd() / DEFAULT_STORE else ["--backend-store-uri", uri]
    return [("start", shlex.join(["mlflow", "ui", *store])), ("open", address)]


def run_page(archive: Archive, run_id: str) -> str:
    """The address of a run of any kind."""
    server = LOCAL if file_of(archive.uri) else archive.uri.rstrip("/")
    return f"{server}/#/experiments/{archive.experiment_id}/runs/{run_id}"
