"""What searches found, for a person: a table, and the error against each value that varied."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from fae.drawing.chart import Chart, Kind, Plot, Series
from fae.drawing.tables import Columns
from fae.runtime.formatting import format_error, format_interval
from fae.runtime.intervals import Estimate
from fae.tuning.space import Dimension, Range
from fae.tuning.study import FinishedTrial

RESULT_FILE = "found.json"
"""Where a study's run has what it found."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        study: its name.
        hidden: units of the hidden layer, the paper's n.
        space: what varied.
        best: its best trial.
        trials: all of them.
        test: error of the best configuration over fresh seeds.
        runs: ids of the runs that this was measured by.
        epochs_saved: the share of the trials' epochs that pruning saved.
        importances: how much of the error each key explains, if that can be told.
        published: test error that the paper gives for as many units, of the same images.
    """

    study: str
    hidden: int
    space: tuple[Dimension, ...]
    best: FinishedTrial
    trials: list[FinishedTrial]
    test: Estimate
    runs: list[str]
    epochs_saved: float
    importances: Mapping[str, float]
    published: float | None = None

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @staticmethod
    def read(text: str) -> "SearchResult":
        """What ``json`` wrote.

        Raises:
            ValueError: it is something else.
        """
        return TypeAdapter(SearchResult).validate_json(text)


@dataclass(frozen=True)
class Outcome:
    """How a search ended that did not fail.

    Attributes:
        found: None where another process sees to the end of it.
        lacking: what the store lacks of it, and how it gets that.
    """

    found: SearchResult | None
    lacking: list[str]


def columns(found: Sequence[SearchResult]) -> Columns:
    """Heading to cells, a row a study: its best trial, and how that tests beside the paper."""
    shown = {
        "study": [one.study for one in found],
        "trials": [str(len(one.trials)) for one in found],
        "epochs saved": [f"{one.epochs_saved:.0%}" for one in found],
        "best": [one.best.name for one in found],
        "val": [format_error(one.best.error or math.nan) for one in found],
        "test error": [format_interval(one.test) for one in found],
        "paper, lr=0.5": [
            "" if one.published is None else format_error(one.published) for one in found
        ],
    }
    return {heading: cells for heading, cells in shown.items() if any(cells)}


def errors_by_value(found: Sequence[SearchResult], dimension: Range, name: str = "val") -> Chart:
    """Validation error of each trial against one of its values; hollow where it was given up.

    Args:
        name: the beginning of the chart's.
    """
    series = []
    for colour, one in enumerate(found):
        ended = [tried for tried in one.trials if tried.error is not None]
        kinds: tuple[tuple[Kind, str, bool], ...] = (
            ("points", one.study if len(found) > 1 else "", False),
            ("hollow", "", True),
        )
        for kind, label, pruned in kinds:
            chosen = [tried for tried in ended if tried.pruned == pruned]
            if chosen:
                series.append(_points(label, chosen, dimension.key, kind, colour))
    ticks = _decades(dimension) if dimension.log else []
    given_up = any(one.kind == "hollow" for one in series)
    plot = Plot("hollow: given up early" if given_up else "", series)
    name = f"{name}_by_{dimension.key}"
    heading = f"Validation error against {dimension.key}"
    labels = dimension.key, "validation error"
    return Chart(name, heading, *labels, [plot], ticks, log_y=True, whole_x=False)


def _points(
    label: str, tried: Sequence[FinishedTrial], key: str, kind: Kind, colour: int
) -> Series:
    x = [float(str(one.values[key])) for one in tried]
    return Series(label, x, [one.error or math.nan for one in tried], kind, colour)


def _decades(dimension: Range) -> list[float]:
    """The powers of ten within a range, and its ends."""
    first, last = math.ceil(math.log10(dimension.low)), math.floor(math.log10(dimension.high))
    return sorted(
        {dimension.low, *(10.0**power for power in range(first, last + 1)), dimension.high}
    )
