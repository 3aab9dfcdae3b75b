"""The standard streams of a command, which continues if they are closed or full.

What cannot be written is lost; one line on standard error says so, except where the reader of a
pipe has closed it, as ``head`` does.
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
"""How long a full, non-blocking stream is waited for; Python itself waits for others."""


def guard() -> None:
    """Make sure that writing to the standard streams of this process cannot fail."""
    for descriptor in range(3):
        _open_if_closed(descriptor)
    for descriptor, name in NAMES.items():
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):
            if stream is not None:
                with suppress(OSError):
                    stream.flush()
            setattr(sys, name, _guarded(descriptor, getattr(stream, "encoding", "utf-8")))
    logging.raiseExceptions = False  # or logging prints a traceback for each lost line
    _print_warnings()


@contextmanager
def guarded() -> Iterator[None]:
    """``guard`` within the block; after it the streams are as before."""
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
    """A stream that becomes ``os.devnull`` once writing to it fails."""

    def write(self, content: "ReadableBuffer", /) -> int:
        try:
            while (written := super().write(content)) is None:
                if not select.select([], [self], [], PATIENCE_S)[1]:
                    raise BlockingIOError(errno.EAGAIN, "nobody reads it")
            return written
        except OSError as problem:
            _report_loss(self.fileno(), problem)
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return memoryview(content).nbytes


def _guarded(descriptor: int, encoding: str) -> io.TextIOWrapper:
    """A stream that escapes characters that its encoding lacks."""
    raw = io.BufferedWriter(_Guarded(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)


def _open_if_closed(descriptor: int) -> None:
    """Otherwise the next file to be opened takes its place, and printing writes to that."""
    try:
        os.fstat(descriptor)
    except OSError as problem:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        _report_loss(descriptor, problem)


def _report_loss(descriptor: int, problem: OSError) -> None:
    if descriptor == 1 and problem.errno != errno.EPIPE:
        with suppress(OSError):
            line = f"fae: standard output is lost ({problem.strerror}); the command continues\n"
            os.write(2, line.encode())


def _print_warnings() -> None:
    """Print what ``PYTHONWARNINGS=error`` would raise, which libraries do not survive."""
    filters = [
        ("default" if action == "error" else action, *rest) for action, *rest in warnings.filters
    ]
    warnings.resetwarnings()
    warnings.filters.extend(filters)  # type: ignore[attr-defined]
