"""Whose a run's folder is: a lock that the kernel lets go when its holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fae.errors import TrainingError

NAME = "run.lock"
LOOK_S = 0.5
"""Whoever only looks whether a folder is held holds it himself, for less than this."""


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
    """Whether a process holds the folder."""
    if not folder.exists():
        return False
    try:
        with FileLock(folder / name, timeout=0):
            return False
    except Timeout:
        return True
