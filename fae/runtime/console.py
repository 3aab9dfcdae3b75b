"""Printing to the terminal, with control characters escaped, as text may come from a store.

A line is wrapped by words on a terminal, and left as it is elsewhere.
"""

import logging
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())  # outside of a job, instead of standard error
Item = TypeVar("Item")
UNLIMITED = 100_000
"""Columns of what is no terminal."""
OK, BAD, UNCLEAR = "green", "red", "yellow"
"""Colours of an outcome; shown by terminals that have colours, unless NO_COLOR is set."""
INDENT = "  "
"""Of the lines that continue another."""
COMMAND = re.compile(r" *(python -m|fae|optuna|mlflow ui)\b(?!:)")
"""The beginning of a line that is to be copied as a command."""
TOGETHER = re.compile(
    r" (?=± )|(?<=±) | (?=\(\d{1,9}\))|(?<=\d) (?=(?:s|min|h|MB|GFLOP/s|%)(?!\w))"
    r"|(?<=\btrain) (?=\d)|(?<=\bval) (?=\d)|(?<=\btest) (?=\d)|(?<=\bn) (?== \d)|(?<=\bn =) "
    r"|(?<=\brun) (?=[0-9a-f]{8}\b)"
    r"|(?<=\bpython) (?=-m )|(?<=\bpython -m) "
    r"|(?<=\bfae) (?=(?:train|search|report|reconstruct|evaluate|sync|doctor)\b)"
)
"""Spaces within what is read as one word: a number with its unit or name, a command."""
UNBROKEN = "\xa0"
"""A space that is no place to break a line; ``printable`` leaves none in a text."""


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
    """A console for tables, which need not fit anything where standard output is a file."""
    return console() if console().is_terminal else _console(width=UNLIMITED)


@cache
def errors() -> "Console":
    """Standard error."""
    return _console(stderr=True)


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


def say(text: str, to: "Console | None" = None, style: str = "") -> None:
    """Print a text without markup; a terminal gets it wrapped by words.

    Args:
        to: a console; standard output by default.
        style: of the whole text, such as a colour.
    """
    to = to or console()
    for line in printable(text).split("\n"):
        for part in wrapped(line, to.width) if to.is_terminal else [line]:
            _print(part, to, style)


def point(label: str, target: str | Path) -> None:
    """Print where something is, in one piece; a terminal may open it by a click.

    Args:
        target: an address, a file, or a command, which is no link.
    """
    from rich.style import Style
    from rich.text import Text

    address = target.absolute().as_uri() if isinstance(target, Path) else target
    link = printable(address) if re.match(r"\w+://", address) else None
    _print(Text.assemble(f"{label:8} ", (printable(str(target)), Style(link=link))), console())


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of at most so many columns, broken between words; later ones are indented.

    A longer word, such as an address, has a part of its own, and so has a line that is a command:
    the terminal wraps it without a line break that would be copied along.
    """
    if COMMAND.match(line):
        return [line]
    indent = line[: len(line) - len(line.lstrip())] + INDENT
    parts = textwrap.wrap(
        TOGETHER.sub(UNBROKEN, line),
        max(1, width),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(UNBROKEN, " ") for part in parts] or [""]


def _print(line: "str | Text", to: "Console", style: str = "") -> None:
    to.print(line, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def track(what: str, items: "Iterable[Item]", count: int) -> "Iterator[Item]":
    """Items as they come, so many in all; a terminal shows their number by a bar until the last."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn()
    hidden = not console().is_terminal
    with Progress(*columns, console=console(), transient=True, disable=hidden) as progress:
        yield from progress.track(items, count, description=what)


def warn(line: str) -> None:
    """Print a warning, and write it to the job's log."""
    log.warning(line)
    say(f"warning: {line}", style=UNCLEAR)
