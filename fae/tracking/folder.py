"""Which run a folder holds, and taking the folder for another."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from fae import durable
from fae.errors import NoStoreError, TrainingError
from fae.tracking.connection import reach
from fae.tracking.delivery import OUTBOX
from fae.tracking.journal import Journal

LINK = "run.json"


@dataclass(frozen=True)
class Link:
    """The run that a folder holds.

    Attributes:
        run_id: of the run in the store.
        name: what it is called.
        store: where the run is.
        experiment: in which it is there.
        command: reproduces it.
    """

    run_id: str
    name: str
    store: str
    experiment: str
    command: str

    def __str__(self) -> str:
        return f"run {self.run_id[:8]} ({self.name})"

    def write(self, folder: Path) -> None:
        durable.write(folder / LINK, json.dumps(asdict(self), indent=2).encode() + b"\n")

    @staticmethod
    def read(folder: Path) -> "Link | None":
        """What a folder says; None without a link of ours that can be read."""
        try:
            return Link(**json.loads((folder / LINK).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def holds(folder: Path, run_id: str) -> bool:
    """Whether a folder is there, and no other run has used it since this one."""
    link = Link.read(folder)
    return link is not None and link.run_id == run_id


def check_still_holds(folder: Path, run_id: str) -> None:
    """Make sure that a run that is carried on finds nothing of another one in a folder.

    Raises:
        TrainingError: the folder holds another run.
    """
    link = Link.read(folder)
    if link and link.run_id != run_id:
        raise TrainingError(
            f"{folder}: holds {link}, so run {run_id[:8]} cannot go on there; name another folder, "
            "or run it anew by sweep.rerun=true"
        )


def clear(folder: Path) -> None:
    """Take the traces of an earlier run out of a folder that is used again.

    Raises:
        TrainingError: they are still needed.
    """
    link = Link.read(folder)
    status = _status(link, folder) if link else "gone"
    if status != "gone" and Journal(folder).pending():
        raise TrainingError(
            f"{folder}: holds a run that is not wholly in its store; python -m fae.sync {folder}"
        )
    if link and status in {"KILLED", "RUNNING"}:
        raise TrainingError(
            f"{folder}: holds {link}, which was interrupted; go on with it by {link.command}, or "
            "name another folder, or empty this one to give that run up"
        )
    for name in (LINK, "delivered", "journal.jsonl"):  # a count must not outlive what it counts
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", OUTBOX):
        shutil.rmtree(folder / name, ignore_errors=True)


def _status(link: Link, folder: Path) -> str:
    """How the run of a folder has ended, or that it is RUNNING, or gone from its store.

    Where the store is only away, the journal's last word tells: what is cleared does not come
    back, and another folder is quickly named.
    """
    try:
        info = reach(link.store).get_run(link.run_id).info
    except NoStoreError:
        return "gone"
    except Exception as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return "gone"
        entries = Journal(folder).entries
        return str(entries[-1].get("end", "RUNNING")) if entries else "gone"
    return "gone" if info.lifecycle_stage == "deleted" else str(info.status)
