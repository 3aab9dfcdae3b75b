"""Which run a folder holds, and taking the folder for another."""

import json
import re
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from fae.errors import FaeError, TrainingError
from fae.runtime import files
from fae.runtime.console import in_one_line
from fae.tracking import outbox
from fae.tracking.delivery import is_unknown
from fae.tracking.journal import Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from fae.tracking.archive import StoredRun

LINK = "run.json"
KEY = "fae.key"
"""Tag of a run; its folder has the same key."""
OF_A_RUN = ("journal.jsonl", "delivered", "checkpoints", outbox.NAME)
"""What a run leaves beside its link, in the order in which it is cleared; the link is the last."""


class LinkError(FaeError):
    """What a folder says of its run cannot be read, or is not this user's."""


@dataclass(frozen=True)
class Link:
    """The run that a folder holds.

    Attributes:
        run_id: of the run in the store; empty until the store has made it.
        name: what it is called.
        store: where the run is.
        experiment: in which it is there.
        command: reproduces it.
        key: drawn for the run before the store made it, and one of its tags.
    """

    run_id: str
    name: str
    store: str
    experiment: str
    command: str
    key: str = ""

    def __str__(self) -> str:
        return f"run {self.run_id[:8]} ({in_one_line(self.name)})"

    def write(self, folder: Path) -> None:
        files.write(folder / LINK, json.dumps(asdict(self), indent=2).encode() + b"\n")

    @staticmethod
    def read(folder: Path) -> "Link | None":
        """What a folder says; None where it says nothing.

        Raises:
            LinkError: it cannot be read, or somebody else wrote it.
        """
        path = folder / LINK
        try:
            return _LINK.validate_json(files.read_own(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LinkError(f"{path}: {error.strerror}") from error
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise LinkError(
                f"{path}: damaged, or not of fae{f' ({where})' if where else ''}"
            ) from error


_LINK = TypeAdapter(Link)


def named(run: "StoredRun") -> Path | None:
    """The folder that a run has as far as its store says; whoever can write there can name any."""
    folder = run.tags.get("fae.folder", "")
    return Path(folder) if folder.startswith("/") and "\0" not in folder else None


def home(run: "StoredRun") -> Path | None:
    """The folder of a run; None unless it proves to be that.

    It does where this user wrote what it says, and folder and run name each other.
    """
    folder = named(run)
    try:
        link = Link.read(folder) if folder else None
    except LinkError:
        return None
    if link is None:
        return None
    if link.run_id:
        return folder if link.run_id == run.id else None
    return folder if link.key and link.key == run.tags.get(KEY) else None


def is_genuine(link: Link, run: "StoredRun") -> bool:
    """Whether a folder was a run's, wherever it is now: who made it drew the key of the run."""
    return bool(link.key) and link.run_id == run.id and link.key == run.tags.get(KEY)


def sync_command(folder: Path, store: str) -> str:
    """The command that delivers what a folder holds to the store of its run."""
    value = store
    if not re.fullmatch(r"[\w:/.%-]+", store, re.ASCII):
        quoted = store.replace("'", r"\'")  # as Hydra reads it
        value = f"'{quoted}'"
    return shlex.join(["python", "-m", "fae.sync", f"tracking.uri={value}", str(folder)])


def check_still_holds(folder: Path, run_id: str) -> None:
    """Make sure that a run that is carried on finds nothing of another one in a folder.

    Raises:
        TrainingError: the folder holds another run.
        LinkError: it cannot be told.
    """
    link = Link.read(folder)
    if link and link.run_id != run_id:
        raise TrainingError(
            f"{folder}: holds {link}, so run {run_id[:8]} cannot go on there; name another folder, "
            "or run it anew by sweep.rerun=true"
        )


def clear(folder: Path, client: "MlflowClient", store: str) -> None:
    """Take the traces of an earlier run out of a folder that is used again.

    Args:
        client: of the store in which the next run is made.
        store: its address.

    Raises:
        TrainingError: they are still needed, or are not a run's.
        LinkError: it cannot be told.
    """
    link = Link.read(folder)
    if link is None:
        if others := [name for name in OF_A_RUN if (folder / name).exists()]:
            raise TrainingError(
                f"{folder}: holds {others[0]}, and no {LINK} that names its run; name another "
                "folder, or empty this one"
            )
        return
    status, where = _status(link, folder, client, store)
    if status != "gone" and Journal(folder).lacking:
        raise TrainingError(
            f"{folder}: holds {link}, of which its store lacks something; "
            f"{sync_command(folder, where)} delivers it, or empty the folder to give it up"
        )
    if status in {"KILLED", "RUNNING"}:
        raise TrainingError(
            f"{folder}: holds {link}, which was interrupted; go on with it by {link.command}, or "
            "name another folder, or empty this one to give that run up"
        )
    for name in OF_A_RUN:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)
    (folder / LINK).unlink()


def _status(link: Link, folder: Path, client: "MlflowClient", store: str) -> tuple[str, str]:
    """How the run of a folder has ended, or that it is RUNNING, or gone; and the store it is in.

    Of a run in another store, the journal's last word tells: what is cleared does not come back,
    and another folder is quickly named.
    """
    if not link.run_id:
        return "gone", store
    try:
        info = client.get_run(link.run_id).info
    except Exception as error:
        if is_unknown(error) and link.store == store:
            return "gone", store
        entries = Journal(folder).entries
        return str(entries[-1].get("end", "RUNNING")) if entries else "gone", link.store
    return "deleted" if info.lifecycle_stage == "deleted" else str(info.status), store
