"""Whether artifacts can be written where an experiment keeps them, asked before the first run.

A run would train to its end, and find out then.
"""

import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fae.errors import StoreError, first_line, without_password
from fae.tracking.address import file_of
from fae.tracking.limits import within

PROBE = "fae-may-write-here.txt"
"""The file that is written, and deleted at once; it stays, once, where deleting is not allowed."""
PATIENCE_S = 30.0
"""How long writing it may take."""
CREDENTIALS = "check credentials, rights and address"
REMEDIES = {
    "mlflow-artifacts": "the server writes them: ask there for the permission, or see its log",
    "s3": f"{CREDENTIALS} (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws/credentials, "
    "MLFLOW_S3_ENDPOINT_URL)",
}


@cache
def check_writable(location: str, uri: str) -> None:
    """Check that this process can write artifacts; once it can, it is not asked again.

    Of a folder the rights are looked at. Elsewhere a file is written and deleted, as no store tells
    what it allows; one that fails later is waited for, as ``fae.tracking.delivery`` does.

    Args:
        location: of the experiment's artifacts.
        uri: of the store.

    Raises:
        StoreError: it cannot; says what is missing.
    """
    scheme = urlsplit(location).scheme
    try:
        if scheme in {"", "file"}:
            _check_folder(Path(unquote(urlsplit(location).path)))
        else:
            within(PATIENCE_S, lambda: _write(location, uri))
    except Exception as error:  # each store has its own
        where = without_password(location)
        raise StoreError(
            f"tracking.uri={uri}: artifacts cannot be written to {where} ({first_line(error)}); "
            f"{_remedy(scheme, error, uri)}"
        ) from error


def _check_folder(folder: Path) -> None:
    """Check that a folder is writable or, if it is not there yet, can be created."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} is not writable")


def _write(location: str, uri: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(location, tracking_uri=uri)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, PROBE)
        file.write_text("Written by fae to see whether it may; can be deleted.\n")
        repository.log_artifact(str(file))
    with suppress(Exception):  # not allowed, or deleted by another process
        repository.delete_artifacts(PROBE)


def _remedy(scheme: str, error: Exception, uri: str) -> str:
    if scheme in {"", "file"}:
        if file_of(uri):
            return "make it writable"
        return (
            "it is a folder of the server's machine; start the server without "
            "--no-serve-artifacts, or mount the folder here"
        )
    if isinstance(error, ImportError):
        installs = "pip install 'fae[s3]'" if scheme == "s3" else "install what it is part of"
        return f"{installs}, or start the server without --no-serve-artifacts"
    return REMEDIES.get(scheme, CREDENTIALS)
