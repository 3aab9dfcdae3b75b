"""Recovers crashed runs: uploads their remaining entries and closes them in the store."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

from fae.errors import FaeError, StoreError, UndeliveredError, first_line
from fae.runtime.console import warn
from fae.tracking.archive import Archive
from fae.tracking.connection import asking
from fae.tracking.delivery import retry_rejected, upload
from fae.tracking.folder import KEY, Link, home, named
from fae.tracking.journal import Journal
from fae.tracking.liveness import is_crashed, is_taken
from fae.tracking.lock import run_lock, store_lock
from fae.tracking.outbox import DamagedError
from fae.tracking.stored_run import StoredRun
from fae.tracking.uploader import is_unknown


def close_crashed(archive: Archive, tell: Callable[[str], object] = warn) -> list[StoredRun]:
    """Close crashed runs, which are RUNNING in the store: as they ended, or as KILLED.

    Runs whose crash is not certain from here are left alone; runs that cannot be closed stay
    RUNNING.

    Args:
        tell: is given a sentence about each run that cannot be closed, or not be stored whole.

    Returns:
        The closed runs, as they were before.
    """
    closed: list[StoredRun] = []
    if not archive.unfinished():
        return closed
    with store_lock(archive.uri):
        for run in crashed_runs(archive):
            try:
                if _close(archive, run, tell):
                    closed.append(run)
            except (FaeError, OSError) as problem:
                name = f"{run.name} ({run.id[:8]})"
                tell(f"{name}: crashed, but stays RUNNING ({problem})")
    return closed


def crashed_runs(archive: Archive) -> list[StoredRun]:
    """Runs that are RUNNING in the store but have no process any more; nothing is changed."""
    return [run for run in archive.unfinished() if is_crashed(run, archive.uri)]


def deliver(folder: Path, archive: Archive) -> int:
    """Upload the entries in a run's folder that its store lacks; returns their number.

    Args:
        archive: of the store that has the run.

    Raises:
        StoreError: the store does not accept them, or does not have the run; those that it
            accepted are marked as uploaded.
        TrainingError: the run is running in another process.
        LinkError: the link in the folder cannot be read.
    """
    link = Link.read(folder)
    if link is None or not count_unsent(folder):
        return 0
    with run_lock(folder):
        run = _run_of(link, archive)
        proven = home(run)
        is_elsewhere = proven is None or not proven.samefile(folder)
        if is_elsewhere and link.key and run.tags.get(KEY) and not link.has_key_of(run):
            warn(
                f"{folder}: {link} was resumed from the store in another folder, {named(run)}, and "
                "computed there again what only this folder has; it can be removed"
            )
            return 0
        if is_elsewhere and not link.has_key_of(run):
            raise StoreError(
                f"{link} has its folder in {named(run)}, not in {folder}, from which nothing was "
                "uploaded"
            )
        if proven is None:  # the folder was moved
            archive.set_folder(run, folder.absolute())
        return _deliver(folder, link, archive, resumed=is_elsewhere and proven is not None)


def _run_of(link: Link, archive: Archive) -> StoredRun:
    """The run of a folder, from the store."""
    try:
        return archive.run(link.run_id)
    except StoreError as error:
        if is_unknown(error.__cause__):
            raise StoreError(not_there(link, archive.uri)) from error
        raise


def not_there(link: Link, uri: str) -> str:
    """A message for a store that does not have the run of a folder."""
    elsewhere = (
        f"its folder names tracking.uri={link.store}"
        if link.store != uri
        else "it was removed for good; move its folder away to discard what is in it"
    )
    return f"tracking.uri={uri}: does not have {link}; {elsewhere}"


def count_unsent(folder: Path) -> int:
    """The number of entries in a run's folder that its store lacks.

    Raises:
        OSError: it cannot be read.
    """
    return Journal(folder).lacking


def has_unsent(folder: Path) -> bool:
    """Whether a folder has entries that its store lacks, and no process that uploads them.

    Raises:
        LinkError, OSError: that cannot be determined.
    """
    return Link.read(folder) is not None and not is_taken(folder) and count_unsent(folder) > 0


def _close(archive: Archive, run: StoredRun, tell: Callable[[str], object]) -> bool:
    """Close a crashed run, unless another process has closed or resumed it meanwhile."""
    folder = home(run)
    if folder is None:
        archive.close(run, "KILLED", run.started)
        return True
    with run_lock(folder):
        found = archive.run(run.id)
        if found.status != "RUNNING":
            return False
        link = Link.read(folder)
        assert link
        if not link.run_id:  # it crashed after the run was created, before it was linked
            link = replace(link, run_id=run.id)
            link.write(folder)
        try:
            _deliver(folder, link, archive)
        except UndeliveredError as problem:
            tell(str(problem))
        entries = Journal(folder).entries
        if entries and "end" in entries[-1]:
            archive.close(run, entries[-1]["end"], entries[-1]["time"])
        else:
            times = [entry["time"] for entry in entries if "time" in entry]
            archive.close(run, "KILLED", max([run.started, *times]))
    return True


def _deliver(folder: Path, link: Link, archive: Archive, *, resumed: bool = False) -> int:
    """Upload the entries that the store lacks.

    Args:
        resumed: the run was resumed in another folder.

    Raises:
        UndeliveredError: some entries were rejected and are kept, or are damaged and lost; all
            others are stored.
    """
    journal = Journal(folder)
    count = journal.lacking
    lost = [f"line {number} of its journal" for number in journal.damaged]
    refusal = ""
    deliver = archive.uploader(link.run_id, folder, resumed=resumed).deliver
    with asking(archive.uri, f"does not accept entries of {link}"):
        for _, problem in chain(retry_rejected(journal, deliver), upload(journal, deliver)):
            if isinstance(problem, DamagedError):
                lost.append(str(problem))
            else:
                refusal = first_line(problem)
    problems = []
    if journal.lacking:
        problems.append(
            f"tracking.uri={archive.uri}: rejects {journal.lacking} entries of {link} ({refusal}); "
            f"they are kept in {folder}"
        )
    if lost:
        rest = "" if journal.lacking else "; all else is stored"
        problems.append(f"{link}: damaged and lost: {'; '.join(lost)}{rest}")
    if problems:
        raise UndeliveredError("\n".join(problems))
    return count
