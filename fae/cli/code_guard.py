"""Restricts the code that Hydra calls by name to its own and fae's.

Hydra creates objects from some sections of its configuration, imports the packages on its search
path, and unpickles a file to rerun a job. Values may come from command lines and from the files
that they name; code must not.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from fae.cli.hydra_internals import (
    ConfigLoaderImpl,
    ConfigRepository,
    composing_by,
    parsed,
)
from fae.cli.messages import explain, is_anonymous, raised_by_hydra
from fae.errors import ConfigError

CALLBACKS = ["fae.cli.command.SingleRunGuard"]
SWEEPERS = [
    "hydra_plugins.fae_sweeper.FaeSweeper",
    "hydra_plugins.fae_sweeper.SearchSweeper",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
]
LOGGING_CLASSES = [
    "fae.runtime.console.PrintableFormatter",
    "logging.Formatter",
    "logging.FileHandler",
    "logging.StreamHandler",
]
LOGGING_REFERENCES = ["ext://sys.stdout", "ext://sys.stderr"]
LOGGING_FILES = {
    "hydra_logging": {"filename": ["hydra-${hydra.job.name}.log"], "mode": ["a", "w"]},
    "job_logging": {
        "filename": ["${hydra.runtime.output_dir}/${hydra.job.name}.log"],
        "mode": ["a"],
    },
}
"""The values in Hydra's own configurations."""

SOURCES_OF_A_USER = {
    "main": "--config-path",
    "hydra.searchpath in main": "hydra.searchpath",
    "hydra.searchpath in command-line": "hydra.searchpath",
}
"""Hydra's names for the origins of search paths, and the users' names for them."""


def known_code_only() -> AbstractContextManager[None]:
    """Within the block composing raises a ConfigError if a configuration names other code."""
    return composing_by(Loader)


def refuse_pickle(arguments: Sequence[str]) -> None:
    """Check that a command line does not tell Hydra to unpickle a file.

    Raises:
        ConfigError: it does.
    """
    if file := parsed(arguments).experimental_rerun:
        raise ConfigError(
            f"--experimental-rerun={file}: a pickle may contain any code; repeat the "
            "command, which is the run's tag fae.command"
        )


class Sources(ConfigRepository):
    """Where Hydra looks for configurations; in packages only if a plugin adds them."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        for place in config_search_path.get_path():
            if place.path.startswith("pkg:") and place.provider in SOURCES_OF_A_USER:
                named = SOURCES_OF_A_USER[place.provider]
                raise ConfigError(f"{named}={place.path}: would import it; name a folder")
        super().initialize_sources(config_search_path)


class Loader(ConfigLoaderImpl):
    """Hydra's loader of configurations, which refuses those that name other code, and whose errors
    always name an override."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = Sources(config_search_path)

    def load_configuration(
        self, config_name: str | None, overrides: list[str], *args: Any, **kwargs: Any
    ) -> DictConfig:
        def compose(overrides: list[str]) -> DictConfig:
            return super(Loader, self).load_configuration(config_name, overrides, *args, **kwargs)

        try:
            node = compose(overrides)
        except Exception as error:
            if raised_by_hydra(error) and is_anonymous(error, overrides):
                raise explain(error, overrides=_at_fault(error, overrides, compose)) from error
            raise
        if problems := list(_problems(node)):
            raise ConfigError(*problems)
        return node


def _at_fault(
    error: Exception, overrides: list[str], compose: Callable[[list[str]], object]
) -> list[str]:
    """The overrides without which Hydra does not raise this error; all, if several cause it."""
    own = [override for override in overrides if not override.startswith("hydra.mode=")]

    def causes(override: str) -> bool:
        try:
            compose([other for other in own if other != override])
        except Exception as another:
            return str(another) != str(error)
        return True

    return [override for override in own if causes(override)] or own


def _problems(node: DictConfig) -> Iterator[str]:
    """A sentence about each place where a composed configuration names other code."""
    for key, value in [*_objects(node), *_logging(node)]:
        yield f"{key}={value}: names code, which a configuration must not; leave it out"
    for section, key, last, value in _logging_items(node):
        if isinstance(value, str) and value not in LOGGING_FILES[section].get(last, [value]):
            yield f"{key}={value}: might overwrite a file of yours; leave it out"
    for name, value in node.hydra.job.env_set.items():
        if value != os.environ.get(name):  # PATH and its like say which code is run
            yield f"hydra.job.env_set.{name}={value}: set it in the shell, before the command"


def _objects(node: DictConfig) -> Iterator[tuple[str, object]]:
    """Objects that must not be created: key and value of each ``_target_``."""
    launchers = Plugins.instance().discover(Launcher)
    known = {
        "callbacks": CALLBACKS,
        "launcher": [f"{launcher.__module__}.{launcher.__name__}" for launcher in launchers],
        "sweeper": SWEEPERS,
    }
    for section, targets in known.items():
        made = node.hydra[section]
        values = OmegaConf.to_container(made, resolve=True) if OmegaConf.is_config(made) else None
        for key, last, value in _items(values, f"hydra.{section}"):
            if last == "_target_" and value not in targets:
                yield key, value


def _logging(node: DictConfig) -> Iterator[tuple[str, object]]:
    """Names that logging must not look up."""
    for _, key, last, value in _logging_items(node):
        refers = isinstance(value, str) and ("${" in value or "://" in value)
        if (
            last in ("()", ".")
            or (last == "class" and value not in LOGGING_CLASSES)
            or (refers and last != "filename" and value not in LOGGING_REFERENCES)
        ):
            yield key, value


def _logging_items(node: DictConfig) -> Iterator[tuple[str, str, str, object]]:
    """``_items`` of each section that configures logging, with the section's name.

    Not resolved, as each job resolves them again.
    """
    written = OmegaConf.to_container(node.hydra, resolve=False)
    assert isinstance(written, dict)
    for section in LOGGING_FILES:
        for key, last, value in _items(written[section], f"hydra.{section}"):
            yield section, key, last, value


def _items(value: object, key: str, last: str = "") -> Iterator[tuple[str, str, object]]:
    """A value and all values nested in it: the dotted key, its last part, the value."""
    yield key, last, value
    inner = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        inner = dict(enumerate(value))
    for name, child in inner.items():
        yield from _items(child, f"{key}.{name}", str(name))
