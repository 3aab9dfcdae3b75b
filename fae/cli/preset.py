"""A configuration as a preset, a file in ``conf/experiment/``."""

from typing import Any

import yaml

from fae.cli.compose import compose
from fae.config import WITHOUT_EFFECT, Config

GROUPS = ("data", "model", "optimizer")
"""Groups in which a configuration names its choice."""


def preset(config: Config, *comments: str) -> str:
    """The text of a preset that turns the defaults into this configuration, except for its seed.

    Args:
        comments: lines at its top.
    """
    plain = config.plain()
    choices = [f"{group}={plain[group]['name']}" for group in GROUPS]
    default = compose("local=none", *choices).plain()
    defaults = [{f"override /{group}": plain[group]["name"]} for group in GROUPS]
    values = _different({**plain, "seed": default["seed"]}, default)
    lines = ["# @package _global_", *(f"# {comment}" for comment in comments)]
    content = {"defaults": [*defaults, "_self_"], **values}
    return "\n".join([*lines, yaml.safe_dump(content, sort_keys=False)])


def _different(plain: dict[str, Any], default: dict[str, Any], group: str = "") -> dict[str, Any]:
    """The values that differ and affect the result, nested as in the configuration."""
    found: dict[str, Any] = {}
    for name, value in plain.items():
        key = group + name
        if key in WITHOUT_EFFECT or value == default[name]:
            continue
        found[name] = (
            _different(value, default[name], f"{key}.")
            if isinstance(value, dict)
            else (list(value) if isinstance(value, tuple) else value)
        )
    return {name: value for name, value in found.items() if value != {}}
