"""Locks between processes: one per run folder, and one per store for beginning and closing runs.

The kernel releases the locks of a process that dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from fae.errors import StoreError, TrainingError
from fae.runtime.console import say
from fae.runtime.digest import short_digest
from fae.tracking.address import file_of

NAME = "run.lock"
LOOK_S = 0.5
"""A process that checks whether a folder is locked holds its lock for less than this."""

SOON_S = 3.0
"""After this time a process says what it waits for."""


class LockedError(TrainingError):
    """Another process has locked a run's folder."""


@contextmanager
def store_lock(store: str) -> Iterator[None]:
    """Lock a store for beginning or closing runs, against other processes on this machine.

    Args:
        store: its URI.

    Raises:
        StoreError: the lock file cannot be written.
    """
    if path := file_of(store):
        file = path.with_name(f".{path.name}.claim")
    else:
        file = user_state_path("fae", ensure_exists=True) / f"store-{short_digest(store)}.claim"
    lock = FileLock(file, is_singleton=True)
    try:
        try:
            held = lock.acquire(timeout=SOON_S)
        except Timeout:
            say(f"waiting for another process, which begins or closes runs in {store}")
            held = lock.acquire()
    except OSError as error:
        raise StoreError(f"tracking.uri={store}: {file} cannot be locked ({error})") from error
    with held:
        yield


@contextmanager
def run_lock(folder: Path, name: str = NAME) -> Iterator[None]:
    """Lock a run's folder against other processes.

    Args:
        name: of the lock; a folder may have several.

    Raises:
        LockedError: the run is running in another process.
    """
    try:
        held = FileLock(folder / name).acquire(timeout=LOOK_S, poll_interval=0.01)
    except Timeout:
        raise LockedError(f"{folder}: this run is running in another process") from None
    with held:
        yield


def is_alive(folder: Path, name: str = NAME) -> bool:
    """Whether a process has locked the folder; nothing is changed there.

    Raises:
        OSError: that cannot be determined, as in a folder without permission.
    """
    try:
        file = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
