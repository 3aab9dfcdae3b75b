"""Writes the reference of the configuration into its page, when MkDocs builds the site.

A marker on the page, such as ``<!-- keys: train -->``, is replaced by what the settings classes and
``conf/`` say; see ``fae.cli.reference``.
"""

import re
from html import escape
from typing import Any

from fae.cli import reference
from fae.cli.reference import Group, Key

PAGE = "reference/configuration.md"
MARKER = re.compile(r"<!-- (keys|groups): (\w+)(?: except (\w+))? -->")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The Markdown of a page, with its markers replaced; MkDocs calls this for each page."""
    return filled(markdown) if page.file.src_uri == PAGE else markdown


def filled(markdown: str) -> str:
    """Markdown with each marker replaced by keys or groups of a command."""
    return MARKER.sub(lambda found: _listing(*found.groups()), markdown)


def _listing(what: str, command: str, other: str | None) -> str:
    listed = _listed(what, command)
    known = _listed(what, other) if other else []
    return "\n\n".join(_as_markdown(part) for part in listed if part not in known)


def _listed(what: str, command: str) -> list[Key] | list[Group]:
    return reference.keys(command) if what == "keys" else reference.groups(command)


def _as_markdown(part: Key | Group) -> str:
    return _key(part) if isinstance(part, Key) else _group(part)


def _key(key: Key) -> str:
    """A heading with an anchor, the meaning, and a line about the values."""
    anchor = "-".join([key.name, *key.options])
    options = ", ".join(f"{key.group}={option}" for option in key.options)
    title = f"### `{key.name}`" + (f" with {_text(options)}" if options else "")
    values = [f"`{choice}`" for choice in key.choices] or [_text(key.type), _text(key.bounds)]
    default = f"Default: {_default(key.default)}." if key.default else "Must be given."
    said = ", ".join(value for value in values if value)
    return f"{title} {{#{anchor}}}\n\n{_text(key.meaning)}\n\nValues: {said}. {default}"


def _group(group: Group) -> str:
    """A heading with an anchor, the meaning, and a table of the options."""
    rows = [
        f"| `{group.name}={option.name}` | {_text(option.meaning)} |" for option in group.options
    ]
    default = f" Default: `{group.default}`." if group.default else ""
    head = f"### `{group.name}` {{#{group.name}}}\n\n{_text(group.meaning)}{default}\n\n"
    return head + "\n".join(["| option | meaning |", "| --- | --- |", *rows])


def _default(default: str) -> str:
    return f"`{default}`" if re.fullmatch(r"\S+|\[.*\]", default) else _text(default)


def _text(text: str) -> str:
    """Plain text for Markdown, in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(text, quote=False))
