"""From a command line to a typed, checked configuration.

What is wrong with one is put into words by ``fae.cli.messages``.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from fae.cli.code_guard import known_code_only
from fae.cli.hydra_internals import Hydra
from fae.cli.messages import explain, explain_values, printable_line, raised_by_hydra
from fae.cli.origin import located
from fae.cli.overrides import command_line, key_of, without
from fae.config import Config
from fae.errors import ConfigError
from fae.runtime import paths
from fae.runtime.installation import configuration

Schema = TypeVar("Schema")
Result = TypeVar("Result")
NOT_OF_RUNS = {"hydra", "search"}
"""Sections of a composed configuration that are not part of a run's."""
OF_ONE_JOB = {"job", "mode", "output_subdir", "overrides", "run", "runtime"}
"""Keys of Hydra's section that differ between the jobs of a multirun."""
CONF = str(configuration())


def compose(*overrides: str) -> Config:
    """The configuration that ``python -m fae.train`` composes from these overrides.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    return compose_as("config", Config, *overrides)


def compose_values(*overrides: str) -> dict[str, Any]:
    """The plain values of ``compose``, not checked: defaults need not fit each other.

    Raises:
        ConfigError: Hydra does not compose them.
    """
    with _composed("config", overrides) as node:
        values: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    return values


def compose_as(name: str, schema: type[Schema], *overrides: str, **given: object) -> Schema:
    """What another command composes from overrides.

    Args:
        name: of the command's own configuration in ``conf/``.
        given: values that bypass Hydra.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    with _composed(name, overrides, return_hydra_config=True) as node:
        return read(node, schema, **given)


def compose_jobs(
    name: str, overrides: Sequence[str], convert: Callable[[DictConfig, Sequence[str]], Result]
) -> list[Result]:
    """Compose and convert every job of the multirun that these overrides make.

    Args:
        name: of the command's own configuration.
        convert: as for ``read_all``.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    with _conf() as (loader, added):
        base = loader.load_configuration(name, [*overrides, *added], RunMode.MULTIRUN)
        return read_all(base, jobs(parse(base, base.hydra.overrides.task, loader)), loader, convert)


@contextmanager
def _composed(name: str, overrides: Sequence[str], **how: bool) -> Iterator[DictConfig]:
    """What Hydra composes; what it refuses within the block is a ``ConfigError``."""
    with _conf() as (_, added):
        yield hydra.compose(name, [*overrides, *added], **how)


@contextmanager
def _conf() -> Iterator[tuple[ConfigLoader, list[str]]]:
    """Hydra's access to ``conf/``; what it refuses within the block is a ``ConfigError``.

    Yields:
        Hydra's loader, and overrides that let it look where the running command does as well.
    """
    current = GlobalHydra.instance()
    running, current.hydra = current.hydra, None  # of the job that calls this
    try:
        with known_code_only(), hydra.initialize_config_dir(CONF, version_base="1.3"):
            yield current.config_loader(), _search_path(running)
    except Exception as error:
        if not raised_by_hydra(error):
            raise
        raise explain(error) from error
    finally:
        GlobalHydra.instance().hydra = running  # another instance by now


def _search_path(running: Hydra | None) -> list[str]:
    """The override for folders that the running command was given, as by ``--config-dir``."""
    if running is None:
        return []
    elements = running.config_loader.get_search_path().get_path()
    folders = [e.path for e in elements if e.provider == "command-line"]
    return [f"hydra.searchpath={json.dumps(folders)}"] if folders else []


def parse(base: DictConfig, arguments: Sequence[str], loader: ConfigLoader) -> list[Override]:
    """The overrides of a multirun: a preset's grid without the given keys, then the given."""
    parser = OverridesParser.create(config_loader=loader)
    given = parser.parse_overrides(list(arguments))
    _refuse_repetition(given)
    keys = {override.key_or_group for override in given}
    params = (base.hydra.sweeper.params or {}).items()
    grid = [f"{key}={values}" for key, values in params if key not in keys]
    return [*parser.parse_overrides(grid), *given]


def _refuse_repetition(overrides: Sequence[Override]) -> None:
    """Check that no values of a sweep are dropped, as of a key that is given twice.

    Raises:
        ConfigError: some are.
    """
    for override in overrides:
        same = [o.input_line for o in overrides if o.key_or_group == override.key_or_group]
        if override.is_sweep_override() and len(same) > 1:
            raise ConfigError(f"{' and '.join(map(str, same))}: leave out one of them")


def jobs(overrides: list[Override]) -> list[list[str]]:
    """The overrides of each job of a multirun, by Hydra's own grid."""
    return [job for batch in BasicSweeper.split_arguments(overrides, None) for job in batch]


def read(node: DictConfig, schema: type[Schema], **given: object) -> Schema:
    """Convert a composed configuration to a schema, and check it.

    Args:
        node: with Hydra's own section, problems in a user's file are named with file and line.
        schema: a pydantic dataclass.
        given: values that bypass Hydra.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    known = {field.name for field in fields(schema)}  # type: ignore[arg-type]
    keys = [key for key in node if key not in NOT_OF_RUNS - known]
    composed, node = node, OmegaConf.masked_copy(node, keys)  # type: ignore[arg-type]
    try:
        values: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
        missing = OmegaConf.missing_keys(node)
    except OmegaConfBaseException as error:
        raise explain(error, [schema]) from error
    values |= given
    problems = [f"{key}: is missing" for key in sorted(missing)]
    try:
        typed = TypeAdapter(schema).validate_python(values)
    except ValidationError as error:
        problems += explain_values(error, values, schema)
    if problems:
        if "hydra" in composed:
            problems = [printable_line(located(problem, composed)) for problem in problems]
        raise ConfigError(*problems)
    return typed


def check(node: DictConfig, *sections: type) -> Config:
    """Check the configuration of a run, or of a search, that Hydra is about to start.

    Args:
        node: as composed, with Hydra's own section.
        sections: schemas of what the command needs in addition, such as a search's.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    if node.hydra.job.chdir:
        raise ConfigError("hydra.job.chdir=true: would move relative folders; leave it out")
    at_once = node.hydra.sweeper.get("max_batch_size")
    if at_once is not None and at_once < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size={at_once}: must be at least 1, or null")
    if node.hydra.launcher.get("n_jobs") == 0:
        raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1, or -1 for all cores")
    for schema in sections:
        read(node, schema)
    config = read(node, Config)
    for key in ("run", "sweep"):
        folder = Path(node.hydra[key].dir).absolute()
        if flaw := paths.flaw(folder):
            raise ConfigError(printable_line(f"hydra.{key}.dir={folder}: {flaw}"))
    return config


def read_all(
    base: DictConfig,
    jobs: Iterable[Sequence[str]],
    loader: ConfigLoader,
    convert: Callable[[DictConfig, Sequence[str]], Result],
) -> list[Result]:
    """Compose and convert every job of a multirun.

    Args:
        base: Hydra's configuration of the multirun.
        jobs: the overrides of each job.
        convert: takes a job's composed configuration and its overrides.

    Raises:
        ConfigError: names the problems of all jobs.
    """
    converted: list[Result] = []
    problems: list[str] = []
    for overrides in jobs:
        try:
            node = loader.load_sweep_config(base, list(overrides))
            _check_multirun_settings(base, node, overrides)
            converted.append(convert(node, overrides))
        except ConfigError as error:
            problems += error.problems
        except Exception as error:
            if not raised_by_hydra(error):
                raise
            problems += explain(error).problems
    if problems:
        raise ConfigError(*problems)
    return converted


def _check_multirun_settings(base: DictConfig, node: DictConfig, overrides: Sequence[str]) -> None:
    """Check that no job of a multirun changes settings of the whole multirun, such as its grid.

    Raises:
        ConfigError: one of several presets does.
    """
    ours, theirs = _multirun_settings(base), _multirun_settings(node)
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if different:
        asked = list(base.hydra.overrides.task)
        groups = node.hydra.runtime.choices
        chosen = [o for o in overrides if o not in asked and key_of(o) in groups]
        dropped = sorted({".".join(key.split(".")[:3]) for key in different})
        others = without(asked, *map(key_of, chosen))
        of_hydra = [o for o in base.hydra.overrides.hydra if o != "hydra.mode=MULTIRUN"]
        name = f"fae.{base.hydra.job.name}"
        raise ConfigError(
            f"{' '.join(chosen)}: its {', '.join(dropped)} cannot apply to one job of several; run "
            f"it alone: {command_line([*others, *chosen, *of_hydra], '-m', module=name)}"
        )


def _multirun_settings(node: DictConfig) -> dict[str, Any]:
    """The settings in Hydra's section for a whole multirun by dotted key, not resolved."""
    written: Any = OmegaConf.to_container(node.hydra, resolve=False)
    settings = {name: value for name, value in written.items() if name not in OF_ONE_JOB}
    return dotted({"hydra": settings})


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested configuration by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_group = isinstance(value, Mapping)
        flat |= dotted(value, f"{prefix}{name}.") if is_group else {f"{prefix}{name}": value}
    return flat
