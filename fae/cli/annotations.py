"""The types of settings, and in words with bounds and choices."""

import types
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

WORDS = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "folder"}


def hints(schema: type) -> dict[str, Any]:
    """The annotations of a class's settings, by field; a class variable is none of them."""
    found = get_type_hints(schema, include_extras=True)
    return {field.name: found[field.name] for field in fields(schema)}


def described(hint: Any) -> tuple[str, str, tuple[str, ...]]:
    """The type of a field in words, such as ``integer or null``, its bounds and its choices.

    Args:
        hint: annotation of the field; a title in it (pydantic's) stands for the type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind, bounds, choices = described(arguments[0])
        titles = [item.title for item in arguments[1:] if getattr(item, "title", None)]
        both = ", ".join(filter(None, [_bounds(arguments[1:], kind), bounds]))
        return titles[0] if titles else kind, both, choices
    if origin is Literal:
        return "choice", "", tuple(map(str, arguments))
    if origin in (Union, types.UnionType) and type(None) in arguments:
        kind, bounds, choices = described(arguments[0])
        if choices:
            return kind, bounds, (*choices, "null")
        return f"{kind} or null", bounds, ()
    if origin is tuple:
        kind, bounds, _ = described(arguments[0])
        number = "list of" if arguments[-1] is ... else str(len(arguments))
        return f"{number} {kind}s", f"each {bounds}" if bounds else "", ()
    return WORDS.get(hint, ""), "", ()


def _bounds(metadata: Iterable[Any], kind: str) -> str:
    """The bounds that annotations set, in words."""
    items = [part for item in metadata for part in (item, *getattr(item, "metadata", ()))]
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    found = {n: v for item in items for n in names if (v := getattr(item, n, None)) is not None}
    low, high = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
    if "max_length" in found:
        return f"at most {found['max_length']} characters"
    if "min_length" in found:
        return "not empty" if kind == "text" else f"at least {found['min_length']}"
    if low is None:
        return ""
    if high is None:
        return f"{'at least' if 'ge' in found else 'above'} {_number(low)}"
    if "ge" in found and "le" in found:
        return f"{_number(low)} to {_number(high)}"
    return f"{_number(low)} {'<=' if 'ge' in found else '<'} x < {_number(high)}"


def _number(value: float) -> str:
    """A number; a long power of 2 or 10 as such."""
    powers = {base**exponent: f"{base}^{exponent}" for base in (2, 10) for exponent in range(6, 64)}
    return powers.get(value, str(value)) if value >= 10**6 else str(value)
