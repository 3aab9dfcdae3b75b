"""The process of a command, as opposed to that of a notebook or a script that calls one."""

import atexit
import gc

OBJECTS_PER_COLLECTION = 100_000
"""New objects after which Python looks for garbage among them, by default some hundreds. Nearly
all that imports make stays: looking through it took a fifth of the start."""

_has_begun = False


def begin() -> None:
    """Prepare the process of a command, before its slow imports.

    From here on a signal ends it without a traceback, writing to the standard streams cannot fail,
    there is a home folder, and garbage is looked for less often.
    """
    global _has_begun
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    from fae.runtime import signals

    signals.install()
    atexit.register(signals.exit_now)
    _has_begun = True

    from fae.runtime import home, streams

    streams.guard()
    home.ensure()


def has_begun() -> bool:
    """Whether this is the process of a command."""
    return _has_begun
