"""The seeds of a sweep: how many each of its configurations is trained with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from fae.cli.overrides import without
from fae.errors import ConfigError
from fae.runs.task import Task

NOT_OF_A_JOB = ("seed", "repeats", "repeats_max", "report")
"""Keys that hold for the whole sweep, or that each of its jobs gets a value of its own of."""
LookUp = Callable[[Sequence[Task]], list[Task]]
"""Tasks with what the store knows of them by now."""


class Seeds(Protocol):
    """How many seeds the configurations of a sweep are trained with, and its runs that follow."""

    @property
    def kind(self) -> str:
        """What the jobs of a launch are together."""

    @property
    def asked(self) -> int:
        """Number of runs that were asked for; of those that give the same result, each counts."""

    @property
    def identity(self) -> list[str]:
        """What the sweep of these runs, and no other, has; in any order."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the sweep's run."""

    def planned(self, look_up: LookUp) -> list[Task]:
        """The runs that are asked for by what the store has of them."""

    def more(self, tasks: Sequence[Task]) -> list[Task]:
        """The runs that are asked for besides, given all so far with what the store knows."""

    def later(self, tasks: Sequence[Task]) -> list[Task]:
        """The runs that may be asked for besides, by later results."""


class Repeats:
    """As many seeds of each configuration as its ``repeats`` says.

    Args:
        composed: one task per configuration, with its first seed.
    """

    kind = "sweep"
    tags: Mapping[str, str] = {}

    def __init__(self, composed: Sequence[Task]) -> None:
        self.asked = sum(_number(task) for task in composed)
        self._composed = composed

    @property
    def identity(self) -> list[str]:
        return [task.fingerprint for task in self.tasks]

    @property
    def tasks(self) -> list[Task]:
        """Each configuration once with each of its seeds; of runs that give the same result, one.

        All first seeds go first, then all second ones, so that a sweep that is cut short has
        every configuration, and a machine that slows down slows all of them alike.
        """
        repeated: dict[str, Task] = {}
        shared = shared_overrides(self._composed)
        for repeat in range(max(_number(task) for task in self._composed)):
            for task in self._composed:
                if repeat < _number(task):
                    seeded = with_seed(task, repeat, shared)
                    repeated.setdefault(seeded.fingerprint, seeded)
        return list(repeated.values())

    def planned(self, look_up: LookUp) -> list[Task]:
        return look_up(self.tasks)

    def more(self, tasks: Sequence[Task]) -> list[Task]:
        return []

    later = more


def check_seeds(composed: Sequence[Task]) -> None:
    """Check what does not go with ``repeats=auto``.

    Raises:
        ConfigError: something is, or it does not hold for all configurations.
    """
    configs = [task.config for task in composed]
    if all(config.repeats != "auto" for config in configs):
        return
    for key in ("repeats", "repeats_max", "seed"):
        if len({getattr(config, key) for config in configs}) > 1:
            raise ConfigError(f"{key}: with repeats=auto must be the same for all runs of a sweep")
    if configs[0].sweep.detach:
        raise ConfigError(
            "sweep.detach=true: not with repeats=auto, as the results of a round decide the next"
        )


def most_runs(composed: Sequence[Task]) -> int:
    """Largest number of runs that a sweep may have."""
    configs = (task.config for task in composed)
    return sum(c.repeats_max if c.repeats == "auto" else c.repeats for c in configs)


def _number(task: Task) -> int:
    assert task.config.repeats != "auto"
    return task.config.repeats


def shared_overrides(tasks: Sequence[Task]) -> set[str]:
    """The overrides that all tasks have."""
    return set.intersection(*(set(task.overrides) for task in tasks))


def with_seed(task: Task, repeat: int, shared: set[str]) -> Task:
    """A configuration with one of its seeds.

    Args:
        task: with its first seed.
        repeat: number of the seed, from 0.
        shared: overrides that its name leaves out.
    """
    config = replace(task.config, seed=task.config.seed + repeat, repeats=1)
    others = without(task.overrides, *NOT_OF_A_JOB)
    overrides = [*others, f"seed={config.seed}", "repeats=1"]
    return replace(task, config=config, overrides=overrides, shared=shared)
