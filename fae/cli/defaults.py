"""What ``conf/`` holds, read without composing it: the groups, their options and the defaults."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fae.runtime.installation import configuration

UNSET = "???"
"""What Hydra's files hold where a value is set elsewhere."""
ENVIRONMENT = re.compile(r"\$\{(?:oc|fae)\.env:(\w+),(.*)\}")
"""A value that an environment variable replaces."""


def chosen(config: str) -> Iterator[tuple[str, str]]:
    """The groups of a configuration, and the option of each; empty if none is chosen.

    Args:
        config: its name in ``conf/``.
    """
    for entry in _read(config)[0]["defaults"]:
        if isinstance(entry, Mapping):
            ((group, option),) = entry.items()
            if not group.startswith("override "):
                yield group.removeprefix("optional "), option or ""
        elif entry != "_self_":
            yield from chosen(entry)


def options(group: str) -> dict[str, str]:
    """The options of a group by name, each with what its file says at its top."""
    folder = configuration() / group
    files = sorted(folder.rglob("*.yaml"), key=_by_folder_and_number)
    return {str(file.relative_to(folder).with_suffix("")): _purpose(file) for file in files}


def _by_folder_and_number(file: Path) -> tuple[str, int, str]:
    return str(file.parent), int(file.stem) if file.stem.isdecimal() else 0, file.stem


def _purpose(file: Path) -> str:
    """The first sentence of the comment at the top of a file."""
    words: list[str] = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#   "):  # a value, or a command
            break
        words += [] if line.startswith("# @package") else line.split()[1:]
    return re.split(r"\.(?:\s|$)", " ".join(words))[0]


def default(config: str, key: str) -> str:
    """The default of a key in a configuration, or of each option of the group that sets it.

    Args:
        config: its name in ``conf/``.
    """
    included = [e for e in _read(config)[0]["defaults"] if isinstance(e, str) and e != "_self_"]
    for values, _ in map(_read, [config, *included]):
        if (value := _value(values, key)) != UNSET:
            return _written(value)
    groups = [group for group, _ in chosen(config)]
    for group in sorted(groups, key=lambda group: not key.startswith(f"{group}.")):
        if text := default_by_option(key, group, options(group)):
            return text if key.startswith(f"{group}.") else f"set by {group}: {text}"
    return ""


def default_by_option(key: str, group: str, having: Iterable[str]) -> str:
    """The default of a key in options of a group, such as ``0.0 (sgd), 0.01 (adamw)``."""
    values: dict[str, list[str]] = {}
    for option in having:
        value = _value(_of_option(group, option), key)
        if value != UNSET:
            values.setdefault(_written(value), []).append(option)
    if len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{value} ({', '.join(names)})" for value, names in values.items())


def _of_option(group: str, option: str) -> Mapping[str, Any]:
    """The values that an option sets, from the root."""
    values, at_root = _read(f"{group}/{option}")
    return values if at_root else {group: values}


@cache
def _read(name: str) -> tuple[Mapping[str, Any], bool]:
    """The values in a file of ``conf/``, and whether they lie at the root, not in its group."""
    text = (configuration() / f"{name}.yaml").read_text("utf-8")
    return yaml.safe_load(text) or {}, text.startswith("# @package _global_")


def _value(values: Mapping[str, Any], key: str) -> Any:
    value: Any = values
    for part in key.split("."):
        value = value.get(part, UNSET) if isinstance(value, Mapping) else UNSET
    return UNSET if value == {} else value


def _written(value: object) -> str:
    """A value as in its file; instead of an interpolation, where it comes from."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    text = text.removesuffix("\n...\n").strip().strip("'")
    return ENVIRONMENT.sub(r"$\1, else \2", text)
