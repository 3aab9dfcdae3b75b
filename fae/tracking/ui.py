"""MLflow's UI: the command that starts it, and the addresses of its pages."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from fae.tracking.address import file_of

if TYPE_CHECKING:
    from fae.tracking.archive import Archive

PORT = 5000
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


def run_page(archive: "Archive", run_id: str) -> str:
    """The address of a run of any kind."""
    return page(archive.uri, archive.experiment_id, f"runs/{run_id}")


def page(uri: str, experiment_id: str, path: str, **state: str) -> str:
    """The address of a page of an experiment.

    Args:
        uri: of the store.
        state: what the page shows. Without a workflow type MLflow opens the pages for language
            models.
    """
    server = f"http://127.0.0.1:{PORT}" if file_of(uri) else uri.rstrip("/")
    query = urlencode({"workflowType": "machine_learning", **state}, quote_via=quote)
    return f"{server}/#/experiments/{experiment_id}/{path}?{query}"
