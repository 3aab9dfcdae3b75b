"""Lines on the terminal, in which nothing that a store holds can move the cursor."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())  # without a job there is no log, nor standard error instead
WIDTH = 140


def printable(text: str) -> str:
    """A text with whatever is not printable, except for line breaks, as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def in_one_line(text: str) -> str:
    """A printable text with its line breaks as escapes, too."""
    return printable(text).replace("\n", r"\n")


class PrintableFormatter(logging.Formatter):
    """Writes printable lines to a log, which is read on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@cache
def console() -> "Console":
    """Standard output."""
    return _console()


def wide() -> "Console":
    """For tables: where standard output is a file, it has no width to keep to."""
    return console() if console().is_terminal else _console(width=WIDTH)


def _console(**how: Any) -> "Console":
    """A console that makes all that it shows printable, be it a line, a table or a bar."""
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
    """Print a line as it is: not wrapped, and no part of it taken for markup.

    Args:
        to: another console than that of standard output.
    """
    (to or console()).print(
        printable(line), markup=False, emoji=False, highlight=False, soft_wrap=True
    )


def warn(line: str) -> None:
    """Print a warning, and keep it in the job's log."""
    log.warning(line)
    say(f"warning: {line}")
