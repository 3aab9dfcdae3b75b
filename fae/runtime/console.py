"""Printing to the terminal, with control characters escaped, as text may come from a store."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())  # outside of a job, instead of standard error
WIDTH = 140


def printable(text: str) -> str:
    """A text with everything that is not printable escaped, except line breaks."""
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def in_one_line(text: str) -> str:
    """A text in one line: line breaks are escaped, too."""
    return printable(text).replace("\n", r"\n")


class PrintableFormatter(logging.Formatter):
    """Escapes what is not printable, as logs are read on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@cache
def console() -> "Console":
    """Standard output."""
    return _console()


def wide() -> "Console":
    """A console for tables, which are not wrapped where standard output is a file."""
    return console() if console().is_terminal else _console(width=WIDTH)


def _console(**how: Any) -> "Console":
    """A console that escapes what is not printable in lines, tables and progress bars."""
    from rich.console import Console

    class PrintableConsole(Console):
        def render(
            self, renderable: "RenderableType", options: "ConsoleOptions | None" = None
        ) -> "Iterable[Segment]":
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else printable(segment.text)
                yield segment._replace(text=text)

    return PrintableConsole(**how)


def say(line: str, to: "Console | None" = None) -> None:
    """Print a line as it is, without wrapping or markup.

    Args:
        to: a console; standard output by default.
    """
    (to or console()).print(
        printable(line), markup=False, emoji=False, highlight=False, soft_wrap=True
    )


def warn(line: str) -> None:
    """Print a warning, and write it to the job's log."""
    log.warning(line)
    say(f"warning: {line}")
