"""Signal handling and process exit.

SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 raise ``Interrupted`` where a command has to clean up,
and end the process at once elsewhere; so does a second signal. For the main thread, as Python's
signals are.

In a process that is not the command's own, such as that of a notebook or of a launcher, they raise
wherever they arrive. Its own handlers are back once the command or the job has ended, and the one
of a signal that has arrived is called then: submitit's, for instance, requeues the job.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType
from typing import Literal

from fae.errors import Interrupted

USER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""By these a scheduler announces a time limit or preemption, as ``sbatch --signal=USR1@90`` asks it
to. By default they end a process too, but its run would stay RUNNING."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *USER_SIGNALS)
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
"""Gives a process that is not the command's own its handling of signals back."""
_may_end = True
"""Whether a second signal ends the process."""


def install(*, as_guest: bool = False, may_end: bool = True) -> None:
    """Install the handlers: a signal ends the process, except in a ``defer_signals`` block.

    Args:
        as_guest: the process is not the command's own; a signal raises ``Interrupted`` instead.
        may_end: whether a second signal ends the process.
    """
    global _host, _mode, _may_end
    if threading.current_thread() is not threading.main_thread():
        return
    signals = [signum for signum in (*SIGNALS, signal.SIGALRM) if not _is_ignored(signum)]
    if as_guest:
        _host, _mode, _may_end = ExitStack(), "allowed", may_end
        _host.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        for signum in signals:
            _host.callback(signal.signal, signum, signal.getsignal(signum) or signal.SIG_DFL)
    for signum in signals:
        signal.signal(signum, _interrupt)
    sys.unraisablehook = _report_unless_interrupted


@contextmanager
def job() -> Iterator[None]:
    """Within the block the handlers are installed, in a process that a launcher may have started.

    A launcher's own handler may raise anything at any point, so it waits for the end of the block.

    Raises:
        Interrupted: a signal arrived.
        BaseException: what the launcher's handler of that signal raises.
    """
    if signal.getsignal(signal.SIGINT) is _interrupt:  # the command's own process
        yield
        return
    try:
        install(as_guest=True)
        yield
    finally:
        finish()


def finish(code: int | None = None) -> None:
    """End signal handling: the work is done, only exit functions are left.

    With an exit code, a first signal waits for them, as joblib's would print a traceback. Without
    one, and in a process that is not the command's own, signals are handled as before.

    Args:
        code: exit code of the process; None if Python sets it.

    Raises:
        BaseException: what the process' own handler of a signal that has arrived raises.
    """
    global _code, _mode
    if threading.current_thread() is not threading.main_thread():
        return
    if _host is not None:
        _give_back(_host)
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    _code = code
    if code is not None:
        _mode = "deferred"
        return
    for signum in SIGNALS:
        if not _is_ignored(signum):
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


def _give_back(host: ExitStack) -> None:
    """Give a process its own handlers back, and call the one of the signal that has arrived.

    Only what somebody installed is called: Python's own would end the process, or raise what Hydra
    and Lightning take for something else.
    """
    global _host, _arrived, _mode
    _mode = "deferred"  # from here on no alarm is set, which would come when nothing handles it
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        host.close()  # from its middle on, the process' own handlers may raise
    finally:
        signum, _host, _arrived, _mode = _arrived, None, None, "immediate"
    if signum is None:
        return
    handler = signal.getsignal(signum)
    if callable(handler) and handler is not signal.default_int_handler:
        handler(signum, None)


def _is_ignored(signum: int) -> bool:
    """Whether the process was started to ignore a signal, as nohup does for the terminal's end."""
    return signum in (signal.SIGHUP, *USER_SIGNALS) and signal.getsignal(signum) == signal.SIG_IGN


def _raise_if_arrived() -> None:
    if _arrived is not None:
        raise Interrupted(_arrived)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """The signal handler; an alarm calls it again."""
    global _arrived, _arrived_s
    if signum != signal.SIGALRM:
        if _mode == "immediate" or (_arrived is not None and not _is_preemption(signum)):
            _exit(signum)
        _arrived, _arrived_s = signum, time.monotonic()
    if _mode == "allowed":
        is_atomic = frame is not None and frame.f_globals.get("__name__") in ATOMIC_MODULES
        signal.setitimer(signal.ITIMER_REAL, RETRY_S if is_atomic else REPEAT_S)
        if not is_atomic:
            _raise_if_arrived()


def _is_preemption(signum: int) -> bool:
    """Whether a scheduler that has sent SIGTERM now sends the signal at which its launcher requeues
    the job.
    """
    return _host is not None and _arrived == signal.SIGTERM and signum in USER_SIGNALS


def _exit(signum: int) -> None:
    if not _may_end:
        raise Interrupted(signum)
    try:
        os.write(2, f"fae: {Interrupted(signum)}\n".encode())
    finally:
        os._exit(128 + signum)


def _report_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
