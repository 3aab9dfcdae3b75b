"""What ``--help`` prints: a command, the keys and groups that it takes, examples, exit codes."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby

from fae.cli import reference
from fae.cli.commands import COMMANDS, COMPLETION, EXIT_CODES, Command
from fae.runtime.console import console

MARGIN, GAP = 2, 2
"""Spaces before a term, and between it and its meaning beside it."""
WIDEST = 120
"""Columns; longer lines are hard to read."""
NARROW = 76
"""Columns below which an explanation stands under its entry instead of beside it."""


@dataclass(frozen=True)
class Entry:
    """A line of a section.

    Attributes:
        term: what is explained.
        meaning: of it.
        facts: type, bounds and default; may be empty.
    """

    term: str
    meaning: str
    facts: str = ""


def version() -> str:
    """The version of fae, such as ``fae 0.1.0``."""
    try:
        return f"fae {metadata.version('fae')}"
    except metadata.PackageNotFoundError:
        return "fae, not installed: used from its folder"


Section = tuple[str, Sequence[Entry]]


def overview() -> None:
    """Print the help of ``fae`` itself."""
    commands = {**COMMANDS, "completion": COMPLETION}.items()
    _print(
        "Train and compare auto-encoders.",
        "usage: fae COMMAND ...\n       fae --version",
        "Each command has a --help of its own, and is also python -m fae.COMMAND.",
        [("commands", [Entry(name, command.summary) for name, command in commands])],
    )


def of(name: str) -> None:
    """Print the help of a command."""
    command = {**COMMANDS, "completion": COMPLETION}[name]
    usage = f"usage: fae {name} {command.usage}"
    sections = [*_arguments(command)]
    if name in reference.COMMANDS:
        sections += _settings(name)
    sections += _options_and_examples(command)
    if name in COMMANDS:
        usage += f"\n       python -m fae.{name} ..."
        codes = {"0": "done", "1": command.failure, **EXIT_CODES}
        sections.append(("exit codes", [Entry(code, meaning) for code, meaning in codes.items()]))
    _print(command.summary, usage, command.details, sections)


def _arguments(command: Command) -> Iterator[Section]:
    if command.arguments:
        yield "arguments", [Entry(*pair) for pair in command.arguments.items()]


def _settings(name: str) -> Iterator[Section]:
    """The dials, the presets and other groups, and the keys of each group."""
    keys = {g: [*inner] for g, inner in groupby(reference.keys(name), lambda key: key.group)}
    meanings = reference.sections(name)
    yield "settings", [_entry(key) for key in keys.pop("")]
    if name in keys:  # the command's own
        yield f"{name}.*: {meanings[name].rstrip('.')}", [_entry(key) for key in keys.pop(name)]
    for group in sorted(reference.groups(name), key=lambda group: group.name != "experiment"):
        options = sorted(group.options, key=lambda option: option.name != group.default)
        default = f"; default: {group.default}" if group.default else ""
        heading = f"{group.name}: {group.meaning.rstrip('.')}{default}"
        yield heading, [Entry(f"{group.name}={o.name}", o.meaning) for o in options]
    for group, inner in keys.items():
        yield f"{group}.*: {meanings[group].rstrip('.')}", [_entry(key) for key in inner]


def _entry(key: reference.Key) -> Entry:
    several = len(key.choices) > 1
    choices = f"{'one of' if several else 'always'} {', '.join(key.choices)}"
    kind = choices if key.choices else ", ".join(filter(None, [key.type, key.bounds]))
    default = f"default: {key.default}" if key.default else ""
    only = f"only {key.group}={', '.join(key.options)}" if key.options else ""
    return Entry(key.name, key.meaning, "; ".join(filter(None, [kind, default, only])))


def _options_and_examples(command: Command) -> Iterator[Section]:
    if command.options:
        yield "options of Hydra", [Entry(*pair) for pair in command.options.items()]
    yield "examples", [Entry(*pair) for pair in command.examples.items()]


def _print(summary: str, usage: str, details: str, sections: Iterable[Section]) -> None:
    width = min(console().width, WIDEST)
    for paragraph in (summary, "", usage, *(["", details] if details else [])):
        for line in paragraph.splitlines() or [""]:
            _print_wrapped(line, width)
    for heading, entries in sections:
        console().print()
        _print_wrapped(heading, width, "bold")
        longest = max(len(entry.term) for entry in entries)
        beside = width >= NARROW and longest < NARROW // 2
        for entry in entries:
            _print_entry(entry, width, MARGIN + longest + GAP if beside else 3 * MARGIN)


def _print_entry(entry: Entry, width: int, indent: int) -> None:
    """Print a term, and what it means beside it or, if it does not fit there, below."""
    from rich.text import Text

    term, space = " " * MARGIN + entry.term, " " * indent
    lines = [space + line for line in _wrapped(entry.meaning, width - indent)]
    if len(term) + GAP <= indent:
        console().print(Text.assemble((term, "cyan"), lines.pop(0)[len(term) :]))
    else:
        _print_wrapped(entry.term, width, "cyan", MARGIN)
    for line in lines:
        console().print(Text(line))
    if entry.facts:
        _print_wrapped(f"[{entry.facts}]", width, "dim", indent)


def _print_wrapped(text: str, width: int, style: str = "", indent: int = 0) -> None:
    from rich.text import Text

    for line in _wrapped(text, width - indent):
        console().print(Text(" " * indent + line, style))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that break between words only, as ``bf16-mixed`` is one."""
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
