"""The end of a command, by a signal or with its work done.

SIGINT, SIGTERM and SIGHUP are an exception where something is to be put in order, and elsewhere the
end; a second one ends the process at once. For the main thread, as Python's signals are.

In a process that is not the command's own, such as a notebook's, what would be its end is an
exception as well, and all is as it was once the command has ended.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

from fae.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 1.0
"""After this time ``Interrupted`` is raised again: a library may have swallowed it."""
SOON_S = 0.01
WHOLE = {__name__, "contextlib"}
"""Modules in which it is never raised: a block that is being left is left."""

Mode = Literal["free", "held", "released"]
_mode: Mode = "free"
_arrived: int | None = None
_arrived_s = 0.0
_code: int | None = None


@dataclass(frozen=True)
class _Host:
    """How a process handled signals before a command began in it."""

    handlers: dict[signal.Signals, Any]
    hook: Callable[["sys.UnraisableHookArgs"], object]


_host: _Host | None = None


def handle(*, as_guest: bool = False) -> None:
    """From here on a signal ends the process, but for what is ``held`` and ``released``.

    Args:
        as_guest: in a process that is not the command's own.
    """
    global _host, _arrived, _mode
    if threading.current_thread() is not threading.main_thread():
        return
    signals = (*SIGNALS, signal.SIGALRM)
    if as_guest:
        handlers = {signum: signal.getsignal(signum) for signum in signals}
        _host, _arrived, _mode = _Host(handlers, sys.unraisablehook), None, "free"
    for signum in signals:
        if not _is_hung_up_on(signum):
            signal.signal(signum, _interrupt)
    sys.unraisablehook = _tell_unless_interrupted


def leave(code: int | None = None) -> None:
    """From here on nothing is left to be done but by exit functions.

    Where the code is known, a first signal leaves them to it: cut short, joblib's would complain.
    Else, and in a process that is not the command's own, a signal is the affair of whoever
    handled it before.

    Args:
        code: with which the process ends; None where Python knows.
    """
    global _code, _mode, _host
    if threading.current_thread() is not threading.main_thread():
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    if _host is not None:
        for signum, handler in _host.handlers.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        sys.unraisablehook, _host = _host.hook, None
        return
    _code = code
    if code is not None:
        _mode = "held"
        return
    for signum in SIGNALS:
        if not _is_hung_up_on(signum):
            signal.signal(signum, signal.SIG_DFL)


def end() -> None:
    """End the process; as the last of its exit functions.

    What Python would do after it, to take torch and MLflow apart, takes seconds.
    """
    if _code is not None:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_code)


def arrived() -> bool:
    """Whether there was a signal."""
    return _arrived is not None


def seconds_since() -> float:
    """Since the signal arrived; 0 if none did."""
    return time.monotonic() - _arrived_s if arrived() else 0.0


def held() -> AbstractContextManager[None]:
    """Signals that arrive in the block wait for its end, or for a ``released`` part of it."""
    return _Block("held")


def released() -> AbstractContextManager[None]:
    """Within a ``held`` block: a part in which a signal, also one that waited, raises.

    Raises:
        Interrupted: there was a signal.
    """
    return _Block("released")


class _Block(AbstractContextManager[None]):
    """Not a generator: a signal between two steps of contextlib's would leave it half done."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.before: Mode = "free"

    def __enter__(self) -> None:
        global _mode
        self.before, _mode = _mode, self.mode
        if self.mode == "released":
            try:
                _raise_if_arrived()
            except Interrupted:
                _mode = self.before
                raise

    def __exit__(self, *_: object) -> None:
        global _mode
        _mode = self.before
        if _mode != "held":
            _raise_if_arrived()


def _is_hung_up_on(signum: int) -> bool:
    """Whether this is the end of a terminal that the process is to outlive, as under nohup."""
    return signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN


def _raise_if_arrived() -> None:
    if _arrived is not None:
        raise Interrupted(_arrived)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """The handler, also of the alarm by which it calls itself again."""
    global _arrived, _arrived_s
    if signum != signal.SIGALRM:
        if _mode == "free" or _arrived is not None:
            _end(signum)
        _arrived, _arrived_s = signum, time.monotonic()
    if _mode == "released":
        whole = frame is not None and frame.f_globals.get("__name__") in WHOLE
        signal.setitimer(signal.ITIMER_REAL, SOON_S if whole else AGAIN_S)
        if not whole:
            _raise_if_arrived()


def _end(signum: int) -> None:
    if _host is not None:
        raise Interrupted(signum)
    try:
        os.write(2, f"fae: {Interrupted(signum)}\n".encode())
    finally:
        os._exit(128 + signum)


def _tell_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
