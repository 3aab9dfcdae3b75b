"""Overrides, as Hydra's command line takes them: their keys, and the names and commands they make.

The prefixes ``+``, ``++`` and ``~`` tell Hydra what to do with a key; they are not part of it.
"""

import shlex
from collections.abc import Iterable, Sequence
from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from fae.config import Config
from fae.errors import ConfigError

NOT_IN_NAMES = ("hydra", "tracking", "report", "sweep", "local", "data.root", "data.skip_broken")
"""Keys, and groups of them, that do not say what is trained."""


@lru_cache(maxsize=10_000)
def parse(override: str) -> Override:
    """An override by Hydra's grammar.

    Raises:
        OverrideParseException: it is none.
    """
    (parsed,) = OverridesParser.create().parse_overrides([override])
    return parsed


def key_of(override: str) -> str:
    """The key or group that an override sets or deletes, such as ``optimizer.momentum``."""
    return parse(override).key_or_group


def without(overrides: Sequence[str], *keys: str) -> list[str]:
    """The overrides of other keys than these, and than those within these groups."""
    return [override for override in overrides if not _is_any_of(key_of(override), keys)]


STORE = "tracking.uri", "tracking.experiment"
"""Where stored runs are."""


def check_taken(overrides: Sequence[str], *keys: str) -> None:
    """Check that a command about a stored run gets no settings that would mean nothing to it.

    Args:
        keys: settings, and groups of them, that it takes besides those of the store.

    Raises:
        ConfigError: there is another one.
    """
    taken = *keys, *STORE
    if others := without(overrides, *taken, "local"):
        raise ConfigError(
            f"{others[0]}: a stored run has its own settings; only {', '.join(taken)} can be given"
        )


def _is_any_of(key: str, keys: Sequence[str]) -> bool:
    return any(key == other or key.startswith((f"{other}.", f"{other}/")) for other in keys)


def run_name(config: Config, overrides: Sequence[str]) -> str:
    """``hidden`` and ``seed``, and between them other settings, floats rounded to four digits.

    Args:
        overrides: that tell the run from those beside it or, of a single run, all of them.
    """
    return _run_name(config, map(_rounded, _others(overrides)))


def study_name(config: Config, overrides: Sequence[str]) -> str:
    """The same with exact values: studies of the same name are one study."""
    return _run_name(config, _others(overrides))


def sweep_name(overrides: Sequence[str]) -> str:
    """What was asked for, such as ``hidden=64,128,256,512``."""
    return " ".join(_named(overrides)) or "sweep"


def _run_name(config: Config, others: Iterable[str]) -> str:
    return " ".join([f"hidden={config.hidden}", *others, f"seed={config.seed}"])


def _others(overrides: Sequence[str]) -> list[str]:
    return _named(without(overrides, "hidden", "seed", "repeats", "repeats_max"))


def _rounded(override: str) -> str:
    value = parse(override).value()
    return rounded_assignment(key_of(override), value) if isinstance(value, float) else override


def _named(overrides: Sequence[str]) -> list[str]:
    return [override.lstrip("+") for override in without(overrides, *NOT_IN_NAMES)]


def command_line(overrides: Sequence[str], *options: str, module: str = "fae.train") -> str:
    """A command with these overrides, ready for a shell."""
    return shlex.join(["python", "-m", module, *options, *overrides])


def written(value: object) -> str:
    """A value as written on a command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def assignment(key: str, value: object) -> str:
    """The override that gives a key a value, such as ``lr=0.01``."""
    return f"{key}={written(value)}"


def rounded_assignment(key: str, value: object) -> str:
    """The same for display, floats rounded to four digits."""
    return f"{key}={value:.4g}" if isinstance(value, float) else assignment(key, value)
