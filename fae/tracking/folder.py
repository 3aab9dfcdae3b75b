"""The link between a run's folder and the store, and clearing a folder for a new run."""

import json
import re
import shlex
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from fae.errors import FaeError, TrainingError
from fae.runtime import files
from fae.runtime.console import in_one_line
from fae.runtime.fields import Name
from fae.tracking import outbox
from fae.tracking.journal import Journal
from fae.tracking.uploader import is_unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from fae.tracking.stored_run import StoredRun

LINK = "run.json"
FOLDER = "fae.folder"
"""Tag of a run: the folder of its files."""
KEY = "fae.key"
"""Tag of a run; the link in its folder has the same value."""
OF_A_RUN = ("journal.jsonl", "delivered", "checkpoints", outbox.NAME)
"""Files of a run besides its link, in the order of removal; the link is removed last."""


class LinkError(FaeError):
    """The link in a folder cannot be read, or belongs to another user."""


@dataclass(frozen=True)
class Link:
    """The run to which a folder belongs.

    Attributes:
        run_id: of the run in the store; empty until it is created there.
        name: of the run.
        store: address of the run's store.
        experiment: of the run in the store.
        command: reproduces the run.
        key: drawn before the run is created in the store, and one of its tags.
    """

    run_id: str
    name: str
    store: str
    experiment: Name
    command: str
    key: str = ""

    def __str__(self) -> str:
        return f"run {self.run_id[:8]} ({in_one_line(self.name)})"

    def is_of(self, run: "StoredRun") -> bool:
        """Whether the folder has what the run logged last.

        After the run was resumed from its store, in another folder of perhaps the same path on
        another machine, their keys differ.
        """
        has_key = self.key == run.tags.get(KEY, "")
        return has_key and (self.run_id == run.id if self.run_id else self.has_key_of(run))

    def has_key_of(self, run: "StoredRun") -> bool:
        """Whether the folder belongs to a run, or did before it was moved: both have one key."""
        return bool(self.key) and self.key == run.tags.get(KEY)

    def write(self, folder: Path) -> None:
        files.write(folder / LINK, json.dumps(asdict(self), indent=2).encode() + b"\n")

    @staticmethod
    def read(folder: Path) -> "Link | None":
        """The link in a folder; None if there is none.

        Raises:
            LinkError: it cannot be read, or belongs to another user.
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
                f"{path}: damaged, or not written by fae{f' ({where})' if where else ''}"
            ) from error


_LINK = TypeAdapter(Link)


def named(run: "StoredRun", tag: str = FOLDER) -> Path | None:
    """The folder that the store names for a run; not trusted, as others may write there."""
    folder = run.tags.get(tag, "")
    return Path(folder) if folder.startswith("/") and "\0" not in folder else None


def home(run: "StoredRun", tag: str = FOLDER) -> Path | None:
    """The folder of a run; None unless that is verified.

    It is if the link in the folder belongs to this user, and folder and run name each other.

    Args:
        tag: by which the run names it; a run that was resumed elsewhere may name others besides.
    """
    folder = named(run, tag)
    try:
        link = Link.read(folder) if folder else None
    except LinkError:
        return None
    return folder if link and link.is_of(run) else None


def sync_command(folder: Path, store: str) -> str:
    """The command that uploads the entries in a folder to the store of its run."""
    value = store
    if not re.fullmatch(r"[\w:/.%-]+", store, re.ASCII):
        quoted = store.replace("'", r"\'")  # for Hydra's grammar
        value = f"'{quoted}'"
    return shlex.join(["python", "-m", "fae.sync", f"tracking.uri={value}", str(folder)])


def check_still_holds(folder: Path, run_id: str) -> None:
    """Check that a folder still belongs to a run that is about to be resumed.

    Raises:
        TrainingError: it belongs to another run.
        LinkError: its link cannot be read.
    """
    link = Link.read(folder)
    if link and link.run_id != run_id:
        raise TrainingError(
            f"{folder}: belongs to {link}, so run {run_id[:8]} cannot be resumed there; name "
            "another folder, or start again with sweep.rerun=true"
        )


def clear(folder: Path, client: "MlflowClient", store: str) -> None:
    """Remove the files of an earlier run from a folder that is used again.

    Args:
        client: of the store of the new run.
        store: its address.

    Raises:
        TrainingError: they are still needed, or do not belong to a run.
        LinkError: the link in the folder cannot be read.
    """
    link = Link.read(folder)
    if link is None:
        if others := [name for name in OF_A_RUN if (folder / name).exists()]:
            raise TrainingError(
                f"{folder}: has {others[0]}, but no {LINK} that names its run; name another "
                "folder, or empty this one"
            )
        return
    status, where = _status(link, folder, client, store)
    if status != "gone" and Journal(folder).lacking:
        raise TrainingError(
            f"{folder}: belongs to {link}, which is not completely uploaded; "
            f"{sync_command(folder, where)} uploads the rest; or empty the folder to discard it"
        )
    if status in {"KILLED", "RUNNING"}:
        raise TrainingError(
            f"{folder}: belongs to {link}, which was interrupted; resume it with {link.command}, "
            "name another folder, or empty this one to discard that run"
        )
    remove_files(folder)
    (folder / LINK).unlink()


def remove_files(folder: Path) -> None:
    """Remove a run's files, except its link."""
    for name in OF_A_RUN:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def copy_files(source: Path, target: Path) -> None:
    """Copy a run's files, except its link, to the folder in which it is resumed."""
    for name in OF_A_RUN:
        if (source / name).is_dir():
            shutil.copytree(
                source / name,
                target / name,
                symlinks=True,
                dirs_exist_ok=True,
                copy_function=_copy_if_there,
            )
        else:
            _copy_if_there(source / name, target / name)


def _copy_if_there(source: str | Path, target: str | Path) -> None:
    """Copy a file, unless there is none, such as one that its process has just removed."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target, follow_symlinks=False)


def _status(link: Link, folder: Path, client: "MlflowClient", store: str) -> tuple[str, str]:
    """The status of a folder's run, or ``gone`` or ``deleted``; and the address of its store.

    For a run in another store, the journal's last entry decides, and in doubt it counts as
    RUNNING: what is cleared is lost, while another folder is easily named.
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
