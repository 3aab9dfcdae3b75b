"""Atomic, durable files: after a crash a file has its old content or the new, never a part."""

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
    """Replace a file atomically; its content is on the disk when this returns.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
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
    """The content of a regular file that belongs to this user; links and pipes are not followed.

    Raises:
        OSError: it is not a regular file, belongs to another user, or cannot be read.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if about.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(path))
        return file.read()


def write_all(file: int, content: bytes | memoryview) -> None:
    """Write all of the content to an open file; the system may write it in parts."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_tree(path: Path, within: Path) -> None:
    """Flush to the disk what was written by other means.

    Args:
        path: a file, or a folder with all its content.
        within: a folder above it; the folders in between are flushed, too.
    """
    for entry in (path, *path.rglob("*"), *path.parents):
        sync(entry)
        if entry == within:
            break


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's list of files, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for the block; the lock of a process that dies is released.

    Raises:
        OSError: another process holds the lock.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def exchange(first: Path, second: Path) -> None:
    """Exchange two folders of one file system.

    Atomically, so that neither path is ever missing; one after the other on systems that cannot.

    Raises:
        OSError: they cannot be exchanged; both are where they were.
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
