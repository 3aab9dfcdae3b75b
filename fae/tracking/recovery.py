"""Recovers crashed runs: uploads their remaining entries and closes them in the store."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fae.errors import FaeError, StoreError, UndeliveredError, first_line
from fae.runtime.console import warn
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.delivery import (
    NotAcceptedError,
    RejectedError,
    Uploader,
    is_unknown,
    retry_rejected,
)
from fae.tracking.folder import Link, home, is_genuine, named
from fae.tracking.journal import Journal
from fae.tracking.lock import is_alive, run_lock, store_lock
from fae.tracking.outbox import DamagedError

AGAIN_S = 0.2
"""Seconds after which an entry that the store did not accept is tried again."""


def close_crashed(archive: Archive, tell: Callable[[str], object] = warn) -> list[StoredRun]:
    """Close crashed runs, which are RUNNING in the store: as they ended, or as KILLED.

    Runs of other machines are left alone, unless their folder can be seen from here; runs that
    cannot be closed stay RUNNING.

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
    return [run for run in archive.unfinished() if _is_crashed(run)]


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
        if proven and proven.samefile(folder):
            return _deliver(folder, link, archive)
        if not is_genuine(link, run):
            raise StoreError(
                f"{link} has its folder in {named(run)}, not in {folder}, from which nothing was "
                "uploaded"
            )
        if proven is None:  # the folder was moved
            archive.set_folder(run, folder.absolute())
        return _deliver(folder, link, archive, resumed=proven is not None)


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
    if Link.read(folder) is None:
        return False
    return not _is_taken(folder) and count_unsent(folder) > 0


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
        if (
            not link.run_id
        ):  # it crashed after the run was created in the store, before it was linked
            link = replace(link, run_id=run.id)
            link.write(folder)
        try:
            _deliver(folder, link, archive)
        except UndeliveredError as problem:
            tell(str(problem))
        entries = Journal(folder).entries
        times = [run.started, *(entry["time"] for entry in entries if "time" in entry)]
        if entries and "end" in entries[-1]:
            archive.close(run, entries[-1]["end"], entries[-1]["time"])
        else:
            archive.close(run, "KILLED", max(times))
    return True


def _deliver(folder: Path, link: Link, archive: Archive, *, resumed: bool = False) -> int:
    """Upload the entries that the store lacks.

    Args:
        resumed: the run was resumed in another folder, where all but metrics was logged again.

    Raises:
        UndeliveredError: some entries were rejected and are kept, or are damaged and lost; all
            others are stored.
    """
    journal = Journal(folder)
    count = journal.lacking
    if not count:
        return 0
    lost = [f"line {number} of its journal" for number in journal.damaged]
    try:
        uploader = archive.uploader(link.run_id, folder)
        refusal, damaged = _upload(journal, uploader, resumed=resumed)
        lost += damaged
    except Exception as error:
        raise StoreError(
            f"tracking.uri={archive.uri}: does not accept entries of {link} ({first_line(error)})"
        ) from error
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


def _upload(journal: Journal, uploader: Uploader, *, resumed: bool) -> tuple[str, list[str]]:
    """Upload all entries that are not rejected; the last refusal, and what is damaged."""
    refusal, damaged = retry_rejected(journal, uploader.deliver)
    while pending := journal.pending():
        try:
            passed = resumed and "metrics" not in pending[0]
            journal.mark_uploaded(1 if passed else uploader.deliver(pending))
        except DamagedError as problem:
            journal.mark_uploaded(1)
            damaged.append(str(problem))
        except RejectedError as problem:
            journal.set_aside()
            refusal = str(problem)
        except NotAcceptedError:
            time.sleep(AGAIN_S)
    return refusal, damaged


def _is_crashed(run: StoredRun) -> bool:
    """Whether no process runs a run; in doubt, one does."""
    if folder := home(run):
        return not _is_taken(folder)
    folder = named(run)
    if folder is None or run.tags.get("fae.host") != platform.node():
        return False
    return not os.path.lexists(folder) or (_is_own(folder) and not _is_taken(folder))


def _is_own(folder: Path) -> bool:
    with suppress(OSError):
        return folder.lstat().st_uid == os.geteuid()
    return False


def _is_taken(folder: Path) -> bool:
    try:
        return is_alive(folder)
    except PermissionError:  # another user's, who can tell
        return True
    except OSError:  # whoever locks it next is told the error
        return False
