"""The standard streams of a command: whatever becomes of them, the work goes on.

What they do not take is lost; standard error is told so once. A reader that goes away, as ``head``
does, has had enough and needs no word.
"""

import errno
import io
import logging
import os
import select
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAMES = {1: "stdout", 2: "stderr"}
PATIENCE_S = 5.0
"""For which a stream that is full and does not block may stay so; to others Python waits itself."""


def guard() -> None:
    """From here on writing to the standard streams of this process cannot fail."""
    for descriptor in range(3):
        _open_if_closed(descriptor)
    for descriptor, name in NAMES.items():
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):
            if stream is not None:
                with suppress(OSError):
                    stream.flush()
            setattr(sys, name, _guarded(descriptor, getattr(stream, "encoding", "utf-8")))
    logging.raiseExceptions = False  # logging would print a traceback for each line that is lost
    _tell_warnings()


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the streams of a process, which is as it was after the block."""
    before = sys.stdout, sys.stderr, logging.raiseExceptions
    with warnings.catch_warnings():
        guard()
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr, logging.raiseExceptions = before


class _Guarded(io.FileIO):
    """A stream that turns into ``os.devnull`` once it takes nothing more."""

    def write(self, content: "ReadableBuffer", /) -> int:
        try:
            while (written := super().write(content)) is None:
                if not select.select([], [self], [], PATIENCE_S)[1]:
                    raise BlockingIOError(errno.EAGAIN, "nobody reads it")
            return written
        except OSError as problem:
            _tell_loss(self.fileno(), problem)
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return memoryview(content).nbytes


def _guarded(descriptor: int, encoding: str) -> io.TextIOWrapper:
    """What the encoding does not have is written as an escape."""
    raw = io.BufferedWriter(_Guarded(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)


def _open_if_closed(descriptor: int) -> None:
    """A closed one would become that of the next file that is opened, and printing write there."""
    try:
        os.fstat(descriptor)
    except OSError as problem:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        _tell_loss(descriptor, problem)


def _tell_loss(descriptor: int, problem: OSError) -> None:
    if descriptor == 1 and problem.errno != errno.EPIPE:
        with suppress(OSError):
            line = f"fae: standard output is lost ({problem.strerror}); the work goes on\n"
            os.write(2, line.encode())


def _tell_warnings() -> None:
    """Libraries break where Python is to raise their warnings, as with ``PYTHONWARNINGS=error``."""
    told = [
        ("default" if action == "error" else action, *rest) for action, *rest in warnings.filters
    ]
    warnings.resetwarnings()
    warnings.filters.extend(told)  # type: ignore[attr-defined]
