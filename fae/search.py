"""The command: find the best settings of a network, or with -m of several, one study each.

Light at import, so that --help answers at once; ``fae.tuning.tune`` does the work.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fae.cli.command import enter, run
from fae.cli.compose import CONF, check, compose, read_all, to_config, to_search
from fae.config import WITHOUT_EFFECT, Config
from fae.errors import ConfigError, UndeliveredError
from fae.runs.job import command_line, run_name
from fae.runtime.console import wide
from fae.tuning.space import Range, SearchConfig, override

if TYPE_CHECKING:
    from fae.tuning.results import Outcome

NOT_SEARCHED = {*WITHOUT_EFFECT, "seed", "data", "epochs"}
"""Keys, or groups of them, that make an error neither better nor worse, or one that does not
compare."""


@hydra.main(version_base="1.3", config_path=CONF, config_name="search")
def run_study(node: DictConfig) -> "Outcome":
    """One study, as Hydra runs it."""
    enter()
    job = HydraConfig.get()
    command = command_line(job.overrides.task, module="fae.search")
    overrides = of_trials(job.overrides.task)
    config, settings = to_config(node), to_search(node)
    check_space(config, settings, overrides)

    from fae.tuning.tune import Search

    search = Search(config, settings, overrides, Path(job.runtime.output_dir), command)
    outcome = search.run()
    if OmegaConf.is_missing(job.job, "num"):  # as it is outside of a multirun
        conclude([outcome])
    return outcome


def of_trials(overrides: Sequence[str]) -> list[str]:
    """The overrides that are for the trials, and not for the search."""
    return [o for o in overrides if not o.lstrip("+~").startswith(("search", "hydra"))]


def check_all(base: DictConfig, jobs: Sequence[Sequence[str]], loader: ConfigLoader) -> None:
    """Make sure of the configuration and the space of each study.

    Args:
        base: Hydra's configuration of the multirun.
        jobs: the overrides of each study.

    Raises:
        ConfigError: names every bad value of every job; nothing was begun.
    """
    studies = read_all(base, jobs, loader, _read)
    names = Counter(name for name, *_ in studies)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ConfigError(
            f"search.name={twice[0]}: is that of {names[twice[0]]} studies; leave it out, and each "
            "is named by what varies"
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
    """A study's name, what its trials share, how it is searched, and what makes it."""
    config, settings, given = check(node), to_search(node), of_trials(overrides)
    check_space(config, settings, given)
    return settings.name or run_name(config, given), config, settings, given


def check_space(config: Config, settings: SearchConfig, overrides: Sequence[str]) -> None:
    """Make sure that every key of the space is one, and takes the ends of its range.

    Args:
        config: what the trials share.
        overrides: what makes it.

    Raises:
        ConfigError: names every key that does not.
    """
    plain = config.plain()
    problems: list[str] = []
    given = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    for one in settings.space:
        parts = one.key.split(".")
        if one.key in given:
            problems.append(f"{given[one.key]}: search.space.{one.key} varies it; leave one out")
        if {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)} & NOT_SEARCHED:
            problems.append(f"search.space.{one.key}: is not to be searched; leave it out")
        elif isinstance(one, Range) and isinstance(_value(plain, one.key), str | bool | dict):
            problems.append(f"search.space.{one.key}: is not a number; list its choices")
        else:
            problems += [p for value in one.ends for p in _problems(overrides, one.key, value)]
    if problems:
        raise ConfigError(*problems)


def _problems(overrides: Sequence[str], key: str, value: object) -> list[str]:
    """What is wrong with a value of the space."""
    try:
        compose(*overrides, override(key, value))
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


def conclude(outcomes: "Sequence[Outcome]") -> None:
    """Print the table of what studies found.

    Raises:
        UndeliveredError: the store lacks something of it.
    """
    from fae.drawing.tables import as_rich
    from fae.tuning.results import columns

    if found := [outcome.found for outcome in outcomes if outcome.found]:
        wide().print(as_rich(columns(found)))
    if lacking := [line for outcome in outcomes for line in outcome.lacking]:
        raise UndeliveredError("\n".join(lacking))


def main() -> None:
    """Entry point of ``python -m fae.search`` and ``fae-search``."""
    run(run_study)


if __name__ == "__main__":
    main()
