"""Forecasts of time and space, by what earlier runs on this machine took."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fae.runs.task import BYTES, WORK, Task
from fae.runtime.formatting import format_duration
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

SIMILAR = 50
"""Largest number of earlier runs that an estimate is made from."""
COMPARABLE = 0.1
"""Least work of an earlier run, as a share of the smallest task's, for its time to count."""

FORMER = {WORK: "fae.work", BYTES: "fae.bytes"}
"""What earlier versions called the tags of runs."""

DECISIVE = ("data", "data.side", "data.grey", "data.colour", "model", "precision", "accelerator")
"""Parameters of a run, or None; runs that agree in them take as long for the same work."""


@dataclass(frozen=True)
class Forecast:
    """Time and space that runs will take, by earlier runs on this machine.

    Attributes:
        seconds: one after the other, start-up left out.
        bytes: of their folders and of what the store gets.
    """

    seconds: float
    bytes: float

    def __str__(self) -> str:
        time = format_duration(self.seconds)
        return f"about {time} and {self.bytes / 1e6:.0f} MB by earlier runs here"


def size(hidden: int) -> float:
    """The size of a run's files, in units of what one hidden unit takes.

    Weights and optimizer state grow with the hidden layer; pictures, configuration and the
    like do not, and are as much as some 20 units.
    """
    return 20.0 + hidden


def forecast(tasks: Sequence[Task], archive: Archive | None) -> Forecast | None:
    """What these tasks will take; None if some are like no run that was made on this machine.

    Each is measured by earlier runs with its data, precision and accelerator.
    """
    if archive is None:
        return None
    groups: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        parameters = task.config.parameters()
        groups.setdefault(tuple(parameters.get(key) for key in DECISIVE), []).append(task)
    found = [_forecast(values, alike, archive) for values, alike in groups.items()]
    known = [part for part in found if part]
    if len(known) < len(groups):
        return None
    return Forecast(sum(part.seconds for part in known), sum(part.bytes for part in known))


def _forecast(values: Sequence[object], tasks: Sequence[Task], archive: Archive) -> Forecast | None:
    """What tasks with these values of the decisive parameters take."""
    decisive = dict(zip(DECISIVE, values, strict=True))
    here = platform.node()
    given = {key: value for key, value in decisive.items() if value is not None}
    found = archive.runs("run", status="FINISHED", host=here, parameters=given, newest=SIMILAR)
    similar = [run for run in found if run.parameters.keys().isdisjoint(decisive.keys() - given)]
    least = COMPARABLE * min(task.work for task in tasks)
    measured = [rates for run in similar if (rates := _rates(run, least))]
    if not measured:
        return None
    fit_s, others_s, space = map(statistics.median, zip(*measured, strict=True))
    return Forecast(
        fit_s * sum(task.work for task in tasks) + others_s * len(tasks),
        space * sum(size(task.config.hidden) for task in tasks),
    )


def _rates(run: StoredRun, least: float) -> tuple[float, float, float] | None:
    """What a run took: seconds per unit of work, other seconds, and bytes per unit of ``size``.

    None for a run that did less work, or does not say so, or in impossible numbers.
    """
    try:
        hidden, fit_s = int(run.parameters["hidden"]), run.metrics["time/fit_s"]
        work, space = (
            float(run.tags.get(name) or run.tags[former]) for name, former in FORMER.items()
        )
        total_s = run.metrics["time/total_s"]
    except (KeyError, ValueError):
        return None
    if work < least or not all(0 < n < 1e18 for n in (hidden, fit_s, work, space, total_s)):
        return None
    return fit_s / work, total_s - fit_s, space / size(hidden)
