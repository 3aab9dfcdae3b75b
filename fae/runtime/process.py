"""A process of a command's own, as opposed to a notebook's or a script's that calls one."""

import atexit

_has_begun = False


def begin() -> None:
    """Prepare the process, before the command imports what takes long.

    From here on a signal ends it quietly, writing to its standard streams cannot fail, and
    libraries find a home.
    """
    global _has_begun
    from fae.runtime import signals

    signals.handle()
    atexit.register(signals.end)
    _has_begun = True

    from fae.runtime import home, streams

    streams.guard()
    home.ensure()


def has_begun() -> bool:
    """Whether the process is a command's own."""
    return _has_begun
