"""Lines on the terminal."""

import logging

from rich import get_console

log = logging.getLogger(__name__)


def say(line: str) -> None:
    """Print a line as it is: not wrapped, and no part of it taken for markup."""
    get_console().print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """Print a warning, and keep it in the job's log."""
    log.warning(line)
    say(f"warning: {line}")
