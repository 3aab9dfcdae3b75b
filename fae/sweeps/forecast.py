"""Forecasts of time and space, by what earlier runs on this machine took."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from fae.config import Config
from fae.runs.task import Task
from fae.tracking.archive import Archive, StoredRun

SIMILAR = 50
"""Largest number of earlier runs that an estimate is made from."""
COMPARABLE = 0.1
"""Least work of an earlier run, as a share of the smallest task's, for its time to count."""


@dataclass(frozen=True)
class Estimate:
    """Time and space that runs will take, by earlier runs on this machine.

    Attributes:
        seconds: one after the other, start-up left out.
        bytes: of their folders and of what the store gets.
    """

    seconds: float
    bytes: float

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"about {minutes}:{seconds:02d} and {self.bytes / 1e6:.0f} MB by earlier runs here"


def size(hidden: int) -> float:
    """The size of a run's files, in units of what one hidden unit takes.

    Weights and optimizer state grow with the hidden layer; pictures, configuration and the
    like do not, and are as much as some 20 units.
    """
    return 20.0 + hidden


def estimate(tasks: Sequence[Task], archive: Archive | None) -> Estimate | None:
    """What these tasks will take; None if some are like no run that was made on this machine.

    Each is measured by earlier runs with its data, precision and accelerator.
    """
    if archive is None:
        return None
    groups: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        groups.setdefault(tuple(_decisive(task.config).values()), []).append(task)
    found = [_estimate(alike, archive) for alike in groups.values()]
    known = [part for part in found if part]
    if len(known) < len(groups):
        return None
    return Estimate(sum(part.seconds for part in known), sum(part.bytes for part in known))


def _decisive(config: Config) -> dict[str, str]:
    """Parameters of a run; those in which they agree take as long for the same work."""
    return {
        "data": config.data.name,
        "precision": config.trainer.precision,
        "accelerator": config.trainer.accelerator,
    }


def _estimate(tasks: Sequence[Task], archive: Archive) -> Estimate | None:
    """What tasks take that agree in the decisive parameters."""
    decisive = _decisive(tasks[0].config)
    here = platform.node()
    similar = archive.runs("run", status="FINISHED", host=here, parameters=decisive, newest=SIMILAR)
    least = COMPARABLE * min(task.work for task in tasks)
    measured = [cost for cost in map(_cost, similar) if cost and cost.work >= least]
    if not measured:
        return None
    densities = [cost.bytes / size(cost.hidden) for cost in measured]
    rates = [cost.fit_s / cost.work for cost in measured]
    others = [cost.total_s - cost.fit_s for cost in measured]
    return Estimate(
        statistics.median(rates) * sum(task.work for task in tasks)
        + statistics.median(others) * len(tasks),
        statistics.median(densities) * sum(size(task.config.hidden) for task in tasks),
    )


@dataclass(frozen=True)
class _Cost:
    """What a run took, as its tags and metrics say."""

    hidden: int
    work: float
    bytes: float
    fit_s: float
    total_s: float


def _cost(run: StoredRun) -> _Cost | None:
    """None for a run that does not say so, or in impossible numbers."""
    try:
        cost = _Cost(
            int(run.parameters["hidden"]),
            float(run.tags["fae.work"]),
            float(run.tags["fae.bytes"]),
            run.metrics["time/fit_s"],
            run.metrics["time/total_s"],
        )
    except (KeyError, ValueError):
        return None
    return cost if all(0 < value < 1e18 for value in astuple(cost)) else None
