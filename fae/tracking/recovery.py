"""What runs that ended without a word have left: delivered, and their status made true."""

import platform
from pathlib import Path

from fae.errors import FaeError, StoreError
from fae.terminal import warn
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.connection import first_line, reach
from fae.tracking.delivery import Delivery
from fae.tracking.folder import Link, holds
from fae.tracking.journal import Entry, Journal
from fae.tracking.lock import claiming, is_alive, own


def close_dead(archive: Archive) -> list[StoredRun]:
    """Close runs that are RUNNING in the store, and dead: as they ended, or else as KILLED.

    Those of other machines are left alone, unless their folder can be seen from here; those
    that cannot be closed stay, with a warning.

    Returns:
        The runs as they were found.
    """
    closed: list[StoredRun] = []
    if not archive.unfinished():
        return closed
    with claiming(archive.uri):
        for run in unfinished_and_dead(archive):
            try:
                if _close(archive, run):
                    closed.append(run)
            except (FaeError, OSError, ValueError) as problem:
                name = f"{run.name} ({run.id[:8]})"
                warn(f"{name}: ended without a word, but stays RUNNING ({problem})")
    return closed


def unfinished_and_dead(archive: Archive) -> list[StoredRun]:
    """Runs that are RUNNING in the store, and have no process any more."""
    return [run for run in archive.unfinished() if _is_dead(run)]


def deliver(folder: Path) -> int:
    """Deliver what a run's folder holds and its store does not have; how many entries.

    Raises:
        StoreError: the store does not take them; those that it took are noted.
        TrainingError: the run is still going on.
    """
    with own(folder):
        return _deliver(folder)


def undelivered(folder: Path) -> int:
    """Entries that a run's folder holds and its store does not have."""
    return len(Journal(folder).pending())


def is_left(folder: Path) -> bool:
    """Whether a folder holds what its store does not have, and nobody is at it to deliver it."""
    return not _is_taken(folder) and undelivered(folder) > 0


def _close(archive: Archive, run: StoredRun) -> bool:
    """Close a dead run, unless another process did so or carried it on meanwhile."""
    folder = Path(run.tags["fae.folder"])
    if not folder.exists():
        archive.close(run, "KILLED", run.started)
        return True
    with own(folder):
        found = archive.run(run.id)
        if found.status != "RUNNING":
            return False
        if Link.read(folder) is None and not (found.parameters or found.metrics):
            _link(folder, found, archive)
        entries: list[Entry] = []
        if holds(folder, run.id):
            _deliver(folder)
            entries = Journal(folder).entries
        times = [run.started, *(entry["time"] for entry in entries if "time" in entry)]
        if entries and "end" in entries[-1]:
            archive.close(run, entries[-1]["end"], entries[-1]["time"])
        else:
            archive.close(run, "KILLED", max(times))
    return True


def _link(folder: Path, run: StoredRun, archive: Archive) -> None:
    """Link a folder to the run whose process died just before it did so: it may go on there.

    One that has stored something was linked: who emptied its folder has given it up.
    """
    command = run.tags["fae.command"]
    Link(run.id, run.name, archive.uri, archive.experiment, command).write(folder)


def _deliver(folder: Path) -> int:
    link = Link.read(folder)
    journal = Journal(folder)
    count = len(journal.pending())
    if link is None or not count:
        return 0
    client = reach(link.store)
    try:
        run = client.get_run(link.run_id)
        if run.info.lifecycle_stage == "deleted":
            warn(f"{folder}: {link} was deleted, and with it what its store did not have")
            journal.mark_delivered(count)
            return 0
        home = Path(run.data.tags["fae.folder"])
        went_on = home != folder and holds(home, link.run_id)
        delivery = Delivery(client, run.info.experiment_id, link.run_id, folder)
        while pending := journal.pending():
            ended = "end" in pending[0]
            journal.mark_delivered(1 if ended and went_on else delivery.deliver(pending))
    except Exception as error:
        raise StoreError(
            f"tracking.uri={link.store}: does not take {link} ({first_line(error)})"
        ) from error
    return count


def _is_dead(run: StoredRun) -> bool:
    folder = Path(run.tags["fae.folder"])
    can_be_seen = run.tags.get("fae.host") == platform.node() or holds(folder, run.id)
    return can_be_seen and not _is_taken(folder)


def _is_taken(folder: Path) -> bool:
    try:
        return is_alive(folder)
    except OSError:  # it may not be entered or locked: another user's, who will know
        return True
