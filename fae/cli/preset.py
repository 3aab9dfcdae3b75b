"""What turns the defaults into a configuration: a preset in ``conf/experiment/``, or overrides."""

from typing import Any

import yaml
from omegaconf import OmegaConf

from fae.cli.compose import compose_values, dotted
from fae.cli.overrides import assignment
from fae.config import NOT_IN_FINGERPRINT, Config, fingerprint_fields


def preset(config: Config, *comments: str) -> str:
    """The text of a preset that turns the defaults into this configuration, except for its seed.

    Args:
        comments: lines at its top.
    """
    values = OmegaConf.create()
    for key, value in _different(config).items():
        if key != "seed":
            OmegaConf.update(values, key, value)
    choices = [{f"override /{group}": name} for group, name in _choices(config).items()]
    content = {"defaults": [*choices, "_self_"], **OmegaConf.to_container(values)}  # type: ignore[dict-item]
    lines = ["# @package _global_", *(f"# {comment}" for comment in comments)]
    return "\n".join([*lines, yaml.safe_dump(content, sort_keys=False)])


def overrides_of(config: Config) -> list[str]:
    """The overrides that turn the defaults into this configuration, where the result depends on it.

    Of the groups, those whose choice is not the default's are named.
    """
    default = compose_values("local=none")
    choices = {g: name for g, name in _choices(config).items() if name != default[g]["name"]}
    chosen = [assignment(group, name) for group, name in choices.items()]
    known = _defaults(config)
    return chosen + [
        "+" * (key not in known) + assignment(key, value)
        for key, value in _different(config).items()
    ]


def _choices(config: Config) -> dict[str, str]:
    """The choice in each group in which a configuration names it."""
    return {
        "data": config.data.name,
        "model": config.model.name,
        "optimizer": config.optimizer.name,
    }


def _different(config: Config) -> dict[str, Any]:
    """The values that affect the result and are not those of the same choices, by dotted key."""
    default = {**_at_their_default(config), **_defaults(config)}
    return {
        key: value
        for key, value in dotted(config.plain()).items()
        if value != default.get(key, key) and not {key, key.partition(".")[0]} & NOT_IN_FINGERPRINT
    }


def _defaults(config: Config) -> dict[str, Any]:
    """The values that stand in ``conf/`` for the same choices, by dotted key."""
    choices = (assignment(group, name) for group, name in _choices(config).items())
    return dotted(compose_values("local=none", *choices))


def _at_their_default(config: Config) -> dict[str, Any]:
    """The values that are the default of their settings class, by dotted key.

    The YAML file of a package's variant may lack such a key.
    """
    others = fingerprint_fields(config)
    return {key: value for key, value in dotted(config.plain()).items() if key not in others}
