"""What turns the defaults into a configuration: a preset in ``conf/experiment/``, or overrides."""

from collections.abc import Iterator
from typing import Any

import yaml

from fae.cli.compose import compose_values
from fae.cli.overrides import assignment
from fae.config import NOT_IN_FINGERPRINT, Config

GROUPS = ("data", "model", "optimizer")
"""Groups in which a configuration names its choice."""


def preset(config: Config, *comments: str) -> str:
    """The text of a preset that turns the defaults into this configuration, except for its seed.

    Args:
        comments: lines at its top.
    """
    plain = config.plain()
    defaults = [{f"override /{group}": plain[group]["name"]} for group in GROUPS]
    values = _different(plain)
    values.pop("seed", None)
    lines = ["# @package _global_", *(f"# {comment}" for comment in comments)]
    content = {"defaults": [*defaults, "_self_"], **values}
    return "\n".join([*lines, yaml.safe_dump(content, sort_keys=False)])


def overrides_of(config: Config) -> list[str]:
    """The overrides that turn the defaults into this configuration, where the result depends on it.

    Of the groups, those whose choice is not the default's are named.
    """
    plain, default = config.plain(), compose_values("local=none")
    choices = [
        f"{group}={plain[group]['name']}"
        for group in GROUPS
        if plain[group]["name"] != default[group]["name"]
    ]
    return [*choices, *(assignment(key, value) for key, value in _dotted(_different(plain)))]


def _dotted(values: dict[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{group}{name}.")
        else:
            yield group + name, value


def _different(plain: dict[str, Any]) -> dict[str, Any]:
    """The values that differ from those of the same choices, nested as in the configuration."""
    choices = [f"{group}={plain[group]['name']}" for group in GROUPS]
    return _differing(plain, compose_values("local=none", *choices))


def _differing(plain: dict[str, Any], default: dict[str, Any], group: str = "") -> dict[str, Any]:
    """The values that differ and affect the result."""
    found: dict[str, Any] = {}
    for name, value in plain.items():
        key = group + name
        if key in NOT_IN_FINGERPRINT:
            continue
        if isinstance(value, dict):
            found[name] = _differing(value, default[name], f"{key}.")
        elif (listed := list(value) if isinstance(value, tuple) else value) != default[name]:
            found[name] = listed
    return {name: value for name, value in found.items() if value != {}}
