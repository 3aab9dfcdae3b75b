"""What a key that no setting has was probably meant to be."""

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from typing import get_args

from fae.cli.annotations import hints
from fae.cli.reference import COMMANDS, groups, keys
from fae.config import Config
from fae.runtime.catalogue import Catalogue

LIKELY, POSSIBLE = 0.8, 0.6
"""Similarities from which another key may be meant, of the same group and of all."""


def known_keys(*schemas: type, prefix: str = "") -> Iterator[str]:
    """All keys of schemas, dotted."""
    for schema in schemas:
        for name, hint in hints(schema).items():
            yield prefix + name
            for option in (hint, *get_args(hint)):
                variants = option.own.values() if isinstance(option, Catalogue) else [option]
                groups = [v for v in variants if isinstance(v, type) and is_dataclass(v)]
                yield from known_keys(*groups, prefix=f"{prefix}{name}.")


def unknown(key: str, schemas: Sequence[type]) -> str:
    """A sentence about a key that the configuration does not have.

    Args:
        schemas: of the command's configuration.
    """
    known = sorted(set(known_keys(*schemas)))
    group, _, setting = key.partition(".")
    if having := _having(key, schemas):
        return f"{key}: only with {group}={' or '.join(having)}"
    if key == "experiment" and Config in schemas:
        return "experiment: a preset's file must begin with the line # @package _global_"
    elsewhere = {name: command for command in reversed(COMMANDS) for name in _taken_by(command)}
    if key in elsewhere:
        return f"{key}: not taken by this command, but by python -m fae.{elsewhere[key]}"
    if setting in known:
        return f"{key}: no such key; did you mean {setting}?"
    if meant := [name for name in known if name.endswith(f".{key}")]:
        return f"{key}: no such key; did you mean {' or '.join(meant)}?"
    if meant := [name for name in elsewhere if name.endswith(f".{key}")]:
        found = f"{meant[0]} of python -m fae.{elsewhere[meant[0]]}"
        return f"{key}: no such key; did you mean {found}?"
    return f"{key}: no such key; {_suggestion(key, known)}"


def _suggestion(key: str, known: Sequence[str]) -> str:
    """The most similar key, those of the same group, or where to find all."""
    group, dot, _ = key.partition(".")
    siblings = [name for name in known if dot and name.startswith(f"{group}.")]
    likely = LIKELY if siblings else POSSIBLE
    if near := get_close_matches(key, siblings or ["experiment", *known], n=1, cutoff=likely):
        return f"did you mean {near[0]}?"
    if siblings:
        settings = [name.removeprefix(f"{group}.") for name in siblings]
        return f"{group} has {', '.join(setting for setting in settings if setting != 'name')}"
    return "--help lists them all"


def _having(key: str, schemas: Sequence[type]) -> list[str]:
    """The options of a key's group that have it."""
    group, _, setting = key.partition(".")
    parts = [part for schema in schemas for part in get_args(hints(schema).get(group))]
    variants = [pair for p in parts if isinstance(p, Catalogue) for pair in p.own.items()]
    return [name for name, variant in variants if setting in {*known_keys(variant)}]


def _taken_by(command: str) -> set[str]:
    """The keys and groups of a command."""
    names = {name for key in keys(command) for name in (key.name, key.group)}
    return names | {group.name for group in groups(command)}
