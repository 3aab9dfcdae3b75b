"""Writes the references into their pages, when MkDocs builds the site.

A marker on a page, such as ``<!-- keys of train -->``, is replaced by what the command line says of
itself: ``fae.cli.reference``, made of the settings classes and ``conf/``, and ``fae.cli.commands``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from fae.cli import reference
from fae.cli.commands import COMMANDS, COMPLETION, EXIT_CODES, Command
from fae.cli.reference import Group, Key

MARKER = re.compile(r"^<!-- (.+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The Markdown of a page, with its markers replaced; MkDocs calls this for each page."""
    return filled(markdown) if page.file.src_uri.startswith("reference/") else markdown


def filled(markdown: str) -> str:
    """Markdown with its markers replaced.

    Raises:
        KeyError: there is no such marker.
    """
    return MARKER.sub(lambda found: CONTENT[found[1]](), markdown)


def _keys(command: str, *, beyond: str | None = None) -> str:
    """The keys that a command takes, without those of another one."""
    known = reference.keys(beyond) if beyond else []
    return _joined(_key(key) for key in reference.keys(command) if key not in known)


def _key(key: Key) -> str:
    """A heading with an anchor, the meaning, and a line about the values."""
    anchor = "-".join([key.name, *key.options])
    options = ", ".join(f"{key.group}={option}" for option in key.options)
    title = f"### `{key.name}`" + (f" with {_text(options)}" if options else "")
    values = [f"`{choice}`" for choice in key.choices] or [_text(key.type), _text(key.bounds)]
    said = ", ".join(value for value in values if value)
    default = _code(key.default) if re.fullmatch(r"\S+|\[.*\]", key.default) else _text(key.default)
    return f"{title} {{#{anchor}}}\n\n{_text(key.meaning)}\n\nValues: {said}. Default: {default}."


def _group(group: Group) -> str:
    """A heading with an anchor, the meaning, and a table of the options."""
    default = f" Default: {_code(group.default)}." if group.default else ""
    options = {f"{group.name}={option.name}": option.meaning for option in group.options}
    title = f"### {_code(group.name)} {{#group-{group.name}}}"
    return _joined([title, _text(group.meaning) + default, _table("option", options)])


def _command(name: str, command: Command) -> str:
    """A heading, what the command does, what it takes, and examples."""
    examples = "\n".join(f"{example}  # {meaning}" for example, meaning in command.examples.items())
    parts = [
        f"### {_code(f'fae {name}')} {{#fae-{name}}}",
        _text(command.summary),
        _text(command.details),
        f"Usage: {_code(f'fae {name} {command.usage}')}",
        _table("argument", command.arguments),
        _table("option", command.options),
        f"Examples:\n\n```bash\n{examples}\n```",
    ]
    return _joined(filter(None, parts))


def _commands() -> str:
    everything = {**COMMANDS, "completion": COMPLETION}
    return _joined(_command(name, command) for name, command in everything.items())


def _exit_codes() -> str:
    failures = "; ".join(f"{name}: {command.failure}" for name, command in COMMANDS.items())
    return _table("code", {"0": "done", "1": failures, **EXIT_CODES})


def _table(head: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {_code(name)} | {_text(meaning)} |" for name, meaning in rows.items()]
    return "\n".join([f"| {head} | meaning |", "| --- | --- |", *lines]) if lines else ""


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts)


def _code(text: str) -> str:
    return f"`{text}`"


def _text(text: str) -> str:
    """Plain text for Markdown, in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(text, quote=False))


CONTENT: Mapping[str, Callable[[], str]] = {
    "groups": lambda: _joined(map(_group, reference.groups("train"))),
    "keys of train": lambda: _keys("train"),
    "keys of search": lambda: _keys("search", beyond="train"),
    "keys of report": lambda: _keys("report", beyond="train"),
    "commands": _commands,
    "exit codes": _exit_codes,
}
"""What the markers stand for."""
