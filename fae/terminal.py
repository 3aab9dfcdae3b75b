"""Lines on the terminal."""

import logging
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())  # without a job there is no log, nor standard error instead
WIDTH = 140


@cache
def console() -> "Console":
    """Standard output; where its reader goes away, as ``head`` does, nothing ends with it."""
    from rich import get_console
    from rich.console import Console

    def on_broken_pipe(_: Console) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    Console.on_broken_pipe = on_broken_pipe  # type: ignore[method-assign, assignment]
    return get_console()


def wide() -> "Console":
    """For tables: where standard output is a file, it has no width to keep to."""
    from rich.console import Console

    return console() if console().is_terminal else Console(width=WIDTH)


def say(line: str) -> None:
    """Print a line as it is: not wrapped, and no part of it taken for markup."""
    console().print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """Print a warning, and keep it in the job's log."""
    log.warning(line)
    say(f"warning: {line}")
