"""What runs that ended without a word have left: delivered, and their status made true."""

import json
import platform
from pathlib import Path

from fae.errors import StoreError
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.connection import reach
from fae.tracking.delivery import Delivery
from fae.tracking.journal import Journal
from fae.tracking.lock import is_alive, own


def close_dead(archive: Archive) -> list[StoredRun]:
    """Close runs that are RUNNING in the store, and dead: as they ended, or else as KILLED.

    Those of other machines are left alone, unless their folder can be seen from here.

    Returns:
        The runs as they were found.
    """
    dead = unfinished_and_dead(archive)
    for run in dead:
        folder = Path(run.tags["fae.folder"])
        ended = run.started
        if _is_of(folder, run.id):
            journal = Journal(folder)
            ended = max([entry["time"] for entry in journal.entries if "time" in entry] or [ended])
            deliver(folder)
            if journal.entries and "end" in journal.entries[-1]:
                continue
        archive.close(run, "KILLED", ended)
    return dead


def unfinished_and_dead(archive: Archive) -> list[StoredRun]:
    """Runs that are RUNNING in the store, and have no process any more."""
    return [run for run in archive.unfinished() if _is_dead(run)]


def deliver(folder: Path) -> int:
    """Deliver what a run's folder holds and its store does not have; how many entries.

    Raises:
        StoreError: the store does not take them; those that it took are noted.
        TrainingError: the run is still going on.
    """
    link = json.loads((folder / "run.json").read_text())
    with own(folder):
        journal = Journal(folder)
        count = len(journal.pending())
        if not count:
            return 0
        client = reach(link["store"])
        try:
            experiment = client.get_run(link["run_id"]).info.experiment_id
            delivery = Delivery(client, experiment, link["run_id"], folder)
            while pending := journal.pending():
                journal.mark_delivered(delivery.deliver(pending))
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise StoreError(
                f"tracking.uri={link['store']}: does not take run {link['run_id'][:8]} ({reason})"
            ) from error
        return count


def undelivered(folder: Path) -> int:
    """Entries that a run's folder holds and its store does not have."""
    return len(Journal(folder).pending())


def _is_dead(run: StoredRun) -> bool:
    folder = Path(run.tags["fae.folder"])
    if not folder.exists():
        return run.tags.get("fae.host") == platform.node()
    return not is_alive(folder)


def _is_of(folder: Path, run_id: str) -> bool:
    """Whether a folder is still that of a run."""
    link = folder / "run.json"
    return link.exists() and bool(json.loads(link.read_text())["run_id"] == run_id)
