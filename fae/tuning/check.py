"""Checks of searches before the first trial.

Light at import (no Optuna), so that a wrong value is reported at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from fae.cli.compose import check, compose, read, read_all
from fae.cli.launchers import on_this_machine
from fae.cli.overrides import assignment, key_of, study_name, without
from fae.config import NOT_IN_FINGERPRINT, Config
from fae.errors import ConfigError
from fae.tuning.space import Range, SearchArguments, SearchConfig

NOT_SEARCHABLE = {*NOT_IN_FINGERPRINT, "seed", "data", "epochs"}
"""Keys and groups that do not affect the error, or that make it incomparable."""
SEARCH_ONLY = ("search", "hydra")
"""Groups whose overrides concern the search, not its trials."""


def check_all(
    base: DictConfig, jobs: Sequence[Sequence[str]], loader: ConfigLoader
) -> list[Config]:
    """Check the configuration and the space of each study; returns their trials' configurations.

    Args:
        base: Hydra's configuration of the multirun.
        jobs: the overrides of each study.

    Raises:
        ConfigError: names every bad value of every study; nothing was computed.
    """
    studies = read_all(
        base, jobs, loader, lambda node, overrides: read_search(check(node), node, overrides)
    )
    names = Counter(settings.name or study_name(config, own) for config, settings, own in studies)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ConfigError(
            f"search.name={repeated[0]}: is the name of {names[repeated[0]]} studies; leave it out "
            "to have each study named by its overrides"
        )

    from fae.tuning.search import Search

    problems: list[str] = []
    for study in studies:
        try:
            Search(*study, Path(), "", here=on_this_machine(base))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return [config for config, *_ in studies]


def read_search(
    config: Config, node: DictConfig, overrides: Sequence[str]
) -> tuple[Config, SearchConfig, Sequence[str]]:
    """The configuration of a study's trials, its settings, and the overrides of its trials.

    Args:
        config: of the trials.
        node: all of the study's configuration.
        overrides: of the study.

    Raises:
        ConfigError: names every bad value.
    """
    settings = read(node, SearchArguments).search
    of_trials = without(overrides, *SEARCH_ONLY)
    check_space(config, settings, of_trials)
    return config, settings, of_trials


def check_space(config: Config, settings: SearchConfig, overrides: Sequence[str]) -> None:
    """Check that every key of the space exists, may vary, and accepts its bounds or choices.

    Args:
        config: configuration of the trials, except the searched values.
        overrides: the command-line overrides that compose ``config``.

    Raises:
        ConfigError: names every key that fails.
    """
    plain = config.plain()
    problems: list[str] = []
    given = {key_of(override): override for override in overrides}
    for dimension in settings.space:
        key = dimension.key
        parts = key.split(".")
        if key in given:
            problems.append(f"{given[key]}: search.space.{key} varies it; leave out one of the two")
        if {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)} & NOT_SEARCHABLE:
            problems.append(f"search.space.{key}: cannot be searched; leave it out")
        elif isinstance(dimension, Range) and isinstance(_value(plain, key), str | bool | dict):
            problems.append(f"search.space.{key}: is not a number; give a list of choices")
        else:
            problems += [p for value in dimension.ends for p in _problems(overrides, key, value)]
    if problems:
        raise ConfigError(*problems)


def _problems(overrides: Sequence[str], key: str, value: object) -> list[str]:
    """Messages about a value of the space that is not accepted."""
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
    """The value of a dotted key; None if there is no such key."""
    value: Any = plain
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
