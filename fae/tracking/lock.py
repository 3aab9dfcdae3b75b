"""Whose a run's folder is, and whose turn to begin one: locks that the kernel lets go when their
holder dies.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from fae.errors import StoreError, TrainingError
from fae.runtime.console import say
from fae.tracking.address import file_of

NAME = "run.lock"
LOOK_S = 0.5
"""Whoever only looks whether a folder is held keeps others from it, for less than this."""

SOON_S = 3.0
"""After this time a process says that it waits for its turn."""


@contextmanager
def claiming(store: str) -> Iterator[None]:
    """Begin or close runs in a store; of the processes on this machine, one at a time does.

    Args:
        store: its URI.

    Raises:
        StoreError: the file of the lock cannot be written.
    """
    if path := file_of(store):
        file = path.with_name(f".{path.name}.claim")
    else:
        name = hashlib.sha256(store.encode()).hexdigest()[:16]
        file = user_state_path("fae", ensure_exists=True) / f"store-{name}.claim"
    lock = FileLock(file, is_singleton=True)
    try:
        try:
            lock.acquire(timeout=SOON_S)
        except Timeout:
            say(f"waits for another process that begins or closes runs in {store}")
            lock.acquire()
    except OSError as error:
        raise StoreError(f"tracking.uri={store}: {file} cannot be locked ({error})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def own(folder: Path, name: str = NAME) -> Iterator[None]:
    """Hold a run's folder against other processes.

    Args:
        name: of the lock; several may be held on a folder.

    Raises:
        TrainingError: another process holds it.
    """
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=LOOK_S, poll_interval=0.01)
    except Timeout:
        raise TrainingError(f"{folder}: another process is at this run") from None
    try:
        yield
    finally:
        lock.release()


def is_alive(folder: Path, name: str = NAME) -> bool:
    """Whether a process holds the folder; looking changes nothing there.

    Raises:
        OSError: it cannot be told, as of a folder that may not be entered.
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
