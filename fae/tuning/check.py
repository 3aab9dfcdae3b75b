"""Checks of searches before the first trial.

Light at import (no Optuna), so that a wrong value is answered at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from fae.cli.compose import check, compose, read, read_all
from fae.cli.overrides import assignment, key_of, run_name, without
from fae.config import NOT_IN_FINGERPRINT, Config
from fae.errors import ConfigError
from fae.tuning.space import Range, SearchArguments, SearchConfig

NOT_SEARCHABLE = {*NOT_IN_FINGERPRINT, "seed", "data", "epochs"}
"""Keys, or groups of them, that do not change the error, or make it incomparable."""
SEARCH_ONLY = ("search", "hydra")
"""Keys of overrides that are for the search, not for its trials."""


def check_all(base: DictConfig, jobs: Sequence[Sequence[str]], loader: ConfigLoader) -> None:
    """Check the configuration and the space of each study.

    Args:
        base: Hydra's configuration of the multirun.
        jobs: the overrides of each study.

    Raises:
        ConfigError: names every bad value of every job; nothing was computed.
    """
    studies = read_all(base, jobs, loader, _read)
    names = Counter(name for name, *_ in studies)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ConfigError(
            f"search.name={twice[0]}: is the name of {names[twice[0]]} studies; leave it out, and "
            "each is named by what varies"
        )

    from fae.tuning.tune import Search

    problems: list[str] = []
    for _, config, settings, overrides in studies:
        try:
            Search(config, settings, overrides, Path(), "")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)


def _read(
    node: DictConfig, overrides: Sequence[str]
) -> tuple[str, Config, SearchConfig, Sequence[str]]:
    """A study's name, the configuration and settings of its search, and what makes them."""
    config, settings = check(node), read(node, SearchArguments).search
    of_trials = without(overrides, *SEARCH_ONLY)
    check_space(config, settings, of_trials)
    return settings.name or run_name(config, of_trials), config, settings, of_trials


def check_space(config: Config, settings: SearchConfig, overrides: Sequence[str]) -> None:
    """Check that every key of the space exists, may vary, and takes the ends of its range.

    Args:
        config: of each trial, except for the values that vary.
        overrides: make it.

    Raises:
        ConfigError: names every key that does not.
    """
    plain = config.plain()
    problems: list[str] = []
    given = {key_of(override): override for override in overrides}
    for dimension in settings.space:
        key = dimension.key
        parts = key.split(".")
        if key in given:
            problems.append(f"{given[key]}: search.space.{key} varies it; leave one out")
        if {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)} & NOT_SEARCHABLE:
            problems.append(f"search.space.{key}: is not to be searched; leave it out")
        elif isinstance(dimension, Range) and isinstance(_value(plain, key), str | bool | dict):
            problems.append(f"search.space.{key}: is not a number; list its choices")
        else:
            problems += [p for value in dimension.ends for p in _problems(overrides, key, value)]
    if problems:
        raise ConfigError(*problems)


def _problems(overrides: Sequence[str], key: str, value: object) -> list[str]:
    """What is wrong with a value of the space."""
    try:
        compose(*overrides, assignment(key, value))
    except ConfigError as error:
        own = (f"{key}:", f"{key}=")
        return [
            f"search.space.{problem if problem.startswith(own) else f'{key}: {problem}'}"
            for problem in error.problems
        ]
    return []


def _value(plain: Mapping[str, Any], key: str) -> object:
    """The value of a dotted key; None where there is no such key."""
    value: Any = plain
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
