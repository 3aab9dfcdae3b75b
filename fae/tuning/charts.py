"""Charts of searches: error against the values that were tried."""

import math
from collections.abc import Sequence

from fae.drawing import looks
from fae.drawing.chart import Axis, Chart, Kind, Look, Plot, Series
from fae.reports.charts import label
from fae.tuning.results import SearchResult
from fae.tuning.space import Range


def errors_by_value(results: Sequence[SearchResult], dimension: Range, name: str = "val") -> Chart:
    """Chart of each trial's validation error against one of its values, one series per n.

    Args:
        name: first part of the chart's name.
    """
    look = looks.in_order(result.hidden for result in results)
    series = [
        points
        for i, result in enumerate(results)
        for points in _trials(result, dimension, look[result.hidden], i - (len(results) - 1) / 2)
    ]
    x = label(dimension.key)
    return Chart(
        f"{name}_by_{dimension.key}",
        f"Validation error against {x}",
        Axis(x, _decades(dimension) if dimension.log else [], log=dimension.log),
        Axis("validation error", log=True),
        [Plot("", [*series, *_key(series)])],
        caption="Each mark is a trial of a search, with one seed; those of different n are shifted "
        "a little, to hide no other. Hollow ones were pruned: stopped before the last epoch.",
    )


def _trials(result: SearchResult, dimension: Range, look: Look, shift: float) -> list[Series]:
    """The trials of a study: completed and pruned ones."""
    found = []
    kinds: dict[Kind, bool] = {"points": False, "hollow": True}
    for kind, pruned in kinds.items():
        trials = [t for t in result.trials if t.error is not None and t.pruned == pruned]
        x = [float(str(trial.values[dimension.key])) for trial in trials]
        y = [trial.error or math.nan for trial in trials]
        name = "" if pruned else f"n = {result.hidden}"
        found.append(Series(name, x, y, kind, look, shift=shift / 2))
    return found


def _key(series: Sequence[Series]) -> list[Series]:
    """An entry of the legend for pruned trials, if there are any."""
    pruned = any(points.kind == "hollow" and points.x for points in series)
    return [Series("pruned", [], [], "hollow")] if pruned else []


def _decades(dimension: Range) -> list[float]:
    """The powers of ten within a range, and its bounds."""
    first, last = math.ceil(math.log10(dimension.low)), math.floor(math.log10(dimension.high))
    return sorted(
        {dimension.low, *(10.0**power for power in range(first, last + 1)), dimension.high}
    )
