"""Files that a crash at any moment leaves as they were or as they are to be, never in between."""

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = -100
EXCHANGE = 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


def write(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it, whole, is on the disk when this returns.

    Raises:
        OSError: it could not be written; a file of that name is as it was.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            write_all(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    sync(path.parent)


def read_own(path: Path) -> bytes:
    """The content of a regular file of this user's; nothing is read through a link or a pipe.

    Raises:
        OSError: it is something else, another user's, or cannot be read.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if about.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "written by another user", str(path))
        return file.read()


def write_all(file: int, content: bytes | memoryview) -> None:
    """Write to an open file until all is written; the system may take it in parts."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_tree(path: Path, within: Path) -> None:
    """Put on the disk what was written by other means.

    Args:
        path: a file, or a folder with all that it holds.
        within: a folder that is there for sure; of those on the way to it, the names are synced.
    """
    for one in (path, *path.rglob("*"), *path.parents):
        sync(one)
        if one == within:
            break


def sync(path: Path) -> None:
    """Put on the disk what a file holds, or which files a folder holds."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While no other process locks a folder; the lock of a process that dies is free.

    Raises:
        OSError: another one does.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def exchange(first: Path, second: Path) -> None:
    """Let two folders of one file system change places.

    At once, so that neither place is ever empty; where the system cannot, one after the other.

    Raises:
        OSError: they cannot; both are where they were.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    paths = os.fsencode(first), os.fsencode(second)
    if rename is not None and rename(HERE, paths[0], HERE, paths[1], EXCHANGE) == 0:
        return
    aside = first.with_name(f".{first.name}.part")
    os.replace(second, aside)
    try:
        os.replace(first, second)
    except BaseException:
        os.replace(aside, second)
        raise
    os.replace(aside, first)
