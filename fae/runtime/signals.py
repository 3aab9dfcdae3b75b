"""Signal handling and process exit.

SIGINT, SIGTERM and SIGHUP raise ``Interrupted`` where a command has to clean up, and end the
process at once elsewhere; so does a second signal. For the main thread, as Python's signals are.

In a process that is not the command's own, such as a notebook's, they raise where they would end
it, and its own handlers are back once the command has ended.
"""

import os
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from types import FrameType
from typing import Literal

from fae.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 1.0
"""Seconds after which ``Interrupted`` is raised again, as a library may have swallowed it."""
RETRY_S = 0.01
"""The same, where it could not be raised yet."""
ATOMIC_MODULES = {__name__, "contextlib"}
"""Modules in which ``Interrupted`` is not raised: entering and leaving a block is not cut short."""

Mode = Literal["immediate", "deferred", "allowed"]
_mode: Mode = "immediate"
_arrived: int | None = None
_arrived_s = 0.0
_code: int | None = None


_host: ExitStack | None = None
"""Gives a process its own handling of signals back, if the command was called in it."""


def install(*, as_guest: bool = False) -> None:
    """Install the handlers: a signal ends the process, except in a ``defer_signals`` block.

    Args:
        as_guest: the process is not the command's own.
    """
    global _host, _arrived, _mode
    if threading.current_thread() is not threading.main_thread():
        return
    signals = (*SIGNALS, signal.SIGALRM)
    if as_guest:
        _host, _arrived, _mode = ExitStack(), None, "immediate"
        _host.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        for signum in signals:
            _host.callback(signal.signal, signum, signal.getsignal(signum) or signal.SIG_DFL)
    for signum in signals:
        if not _ignores_hangup(signum):
            signal.signal(signum, _interrupt)
    sys.unraisablehook = _report_unless_interrupted


def finish(code: int | None = None) -> None:
    """End signal handling: the work is done, only exit functions are left.

    With an exit code, a first signal waits for them, as joblib's would print a traceback. Without
    one, and in a process that is not the command's own, signals are handled as before.

    Args:
        code: exit code of the process; None if Python sets it.
    """
    global _code, _mode, _host
    if threading.current_thread() is not threading.main_thread():
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    if _host is not None:
        _host.close()
        _host = None
        return
    _code = code
    if code is not None:
        _mode = "deferred"
        return
    for signum in SIGNALS:
        if not _ignores_hangup(signum):
            signal.signal(signum, signal.SIG_DFL)


def exit_now() -> None:
    """End the process, as its last exit function.

    Python would take seconds more to tear down torch and MLflow.
    """
    if _code is not None:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_code)


def arrived() -> bool:
    """Whether a signal has arrived."""
    return _arrived is not None


def seconds_since() -> float:
    """Seconds since a signal arrived; 0 if none has."""
    return time.monotonic() - _arrived_s if arrived() else 0.0


def defer_signals() -> AbstractContextManager[None]:
    """Defer signals to the end of the block, or to a ``allow_signals`` block in it."""
    return _Block("deferred")


def allow_signals() -> AbstractContextManager[None]:
    """Within a ``defer_signals`` block: raise when a signal arrives, or if one has been deferred.

    Raises:
        Interrupted: a signal arrived.
    """
    return _Block("allowed")


class _Block(AbstractContextManager[None]):
    """A class, as a signal between two steps of a generator would leave the block half entered."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.before: Mode = "immediate"

    def __enter__(self) -> None:
        global _mode
        self.before, _mode = _mode, self.mode
        if self.mode == "allowed":
            try:
                _raise_if_arrived()
            except Interrupted:
                _mode = self.before
                raise

    def __exit__(self, *_: object) -> None:
        global _mode
        _mode = self.before
        if _mode != "deferred":
            _raise_if_arrived()


def _ignores_hangup(signum: int) -> bool:
    """Whether the process ignores the end of its terminal, as under nohup."""
    return signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN


def _raise_if_arrived() -> None:
    if _arrived is not None:
        raise Interrupted(_arrived)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """The signal handler; an alarm calls it again."""
    global _arrived, _arrived_s
    if signum != signal.SIGALRM:
        if _mode == "immediate" or _arrived is not None:
            _exit(signum)
        _arrived, _arrived_s = signum, time.monotonic()
    if _mode == "allowed":
        is_atomic = frame is not None and frame.f_globals.get("__name__") in ATOMIC_MODULES
        signal.setitimer(signal.ITIMER_REAL, RETRY_S if is_atomic else REPEAT_S)
        if not is_atomic:
            _raise_if_arrived()


def _exit(signum: int) -> None:
    if _host is not None:
        raise Interrupted(signum)
    try:
        os.write(2, f"fae: {Interrupted(signum)}\n".encode())
    finally:
        os._exit(128 + signum)


def _report_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
