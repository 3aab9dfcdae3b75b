"""SIGINT and SIGTERM as an exception, which waits where it would do harm.

The first signal raises ``Interrupted`` in the main thread; a second one ends the process at
once.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fae.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_holding = False
_arrived: int | None = None
_interrupted = False


def handle() -> None:
    """From here on SIGINT and SIGTERM raise ``Interrupted``."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, _interrupt)


def leave() -> None:
    """From here on they end the process at once: nothing is left to be done."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL)


@contextmanager
def held() -> Iterator[None]:
    """Signals that arrive in the block wait for its end, or for a ``released`` part of it."""
    before = _holding
    _hold(True)
    try:
        yield
    finally:
        _hold(before)


@contextmanager
def released() -> Iterator[None]:
    """Within a ``held`` block: a part that may be interrupted, as by a signal that waited."""
    before = _holding
    try:
        _hold(False)
        yield
    finally:
        _hold(before)


def _hold(holding: bool) -> None:
    global _holding, _arrived
    _holding = holding
    if not holding and _arrived is not None:
        signum, _arrived = _arrived, None
        raise Interrupted(signum)


def _interrupt(signum: int, _: FrameType | None) -> None:
    global _arrived, _interrupted
    if _interrupted:
        signal.signal(signum, signal.SIG_DFL)
        signal.raise_signal(signum)
    _interrupted = True
    if _holding:
        _arrived = signum
    else:
        raise Interrupted(signum)
