"""The reference of the configuration: every key and group of a command, with what it means.

Types, bounds and choices come from the settings classes, meanings from the strings under their
fields, defaults and options from ``conf/``. Nothing is composed, so that ``--help`` is quick.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any, get_args

from fae.cli import defaults
from fae.cli.annotations import described, hints
from fae.runtime.catalogue import Catalogue

COMMANDS = ("train", "search", "report")
"""Those that have a configuration."""
MEANINGS = {
    "experiment": "Preset: the settings of an experiment; some make a sweep, with or without -m.",
    "local": "Your own defaults, which every command uses: conf/local/default.yaml, if there is "
    "one.",
}
"""Of groups that are no field of a settings class."""


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Attributes:
        name: dotted, such as ``trainer.precision``.
        group: its first part; empty for the dials at the root.
        options: the options of the group that have the key, such as ``("sgd",)``; empty: all.
        type: in words, such as ``integer or null``.
        bounds: such as ``at least 1`` or ``0 <= x < 1``; may be empty.
        choices: all that it accepts, if these can be listed.
        default: of ``conf/``; where options differ, of each, such as ``0.0 (sgd), 0.01 (adamw)``.
        meaning: in one line.
    """

    name: str
    group: str
    options: tuple[str, ...]
    type: str
    bounds: str
    choices: tuple[str, ...]
    default: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """An option of a group, such as ``optimizer=adam``."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """A group of which one option is chosen; ``default`` is empty if none is by default."""

    name: str
    meaning: str
    default: str
    options: tuple[Option, ...]


def keys(command: str) -> list[Key]:
    """The keys that a command takes: the dials, then group by group."""
    schemas = import_module(f"fae.{command}").SCHEMAS
    found = [key for schema in reversed(schemas) for key in _keys(schema, _config(command))]
    return sorted(found, key=lambda key: key.group != "")


def groups(command: str) -> list[Group]:
    """The groups of a command in which there is a choice."""
    meanings, found = MEANINGS | sections(command), []
    for name, chosen in defaults.chosen(_config(command)):
        options = defaults.options(name)
        if len(options) > 1 or name in MEANINGS:
            default = chosen if chosen in options else ""
            listed = tuple(Option(option, meaning) for option, meaning in options.items())
            found.append(Group(name, meanings[name], default, listed))
    return found


def sections(command: str) -> dict[str, str]:
    """The meanings of the parts of a command's configuration by name, ``trainer`` for instance."""
    schemas = import_module(f"fae.{command}").SCHEMAS
    return {name: meaning for schema in schemas for name, meaning in _meanings(schema).items()}


def _config(command: str) -> str:
    """The name of a command's own configuration in ``conf/``."""
    return "config" if command == "train" else command


def _keys(schema: type, config: str, group: str = "") -> Iterator[Key]:
    """The keys of a settings class, those of its groups after its own."""
    meanings, inner = _meanings(schema), list[Key]()
    for field, hint in hints(schema).items():
        name = f"{group}.{field}" if group else field
        catalogue = next((part for part in get_args(hint) if isinstance(part, Catalogue)), None)
        if catalogue:
            inner += _variants(catalogue, config)
        elif is_dataclass(hint):
            inner += _keys(hint, config, name)  # type: ignore[arg-type]
        else:
            default = defaults.default(config, name)
            yield Key(name, group, (), *described(hint), default, meanings.get(field, ""))
    yield from inner


def _variants(catalogue: "Catalogue[Any]", config: str) -> Iterator[Key]:
    """The keys of all variants; one that several have in the same way is one key."""
    merged: dict[Key, tuple[str, ...]] = {}
    for option, schema in catalogue.own.items():
        for key in _keys(schema, config, catalogue.key):
            if key.name != f"{catalogue.key}.name":  # which is the option itself
                merged[key] = (*merged.get(key, ()), option)
    for key, options in merged.items():
        default = defaults.default_by_option(key.name, catalogue.key, options)
        shared = options == (*catalogue.own,)
        yield replace(key, options=() if shared else options, default=default)


@cache
def _meanings(schema: type) -> Mapping[str, str]:
    """The strings under the fields of a settings class, by field."""
    found: dict[str, str] = {}
    for parent in reversed(schema.__mro__[:-1]):
        body = _classes(parent.__module__).get(parent.__name__, [])
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value)
                found[ast.unparse(field.target)] = " ".join(text.replace("``", "").split())
    return found


@cache
def _classes(module: str) -> Mapping[str, Sequence[ast.stmt]]:
    """The statements of the classes of a module, by the classes' names."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}
