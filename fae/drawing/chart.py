"""Charts as values; ``fae.drawing.figures`` draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

PLOTTED = 16
"""Settings that have a plot of their curves each; of more, those with the lowest error."""
CAPTION = (
    "After each epoch, in evaluation mode, over all training and all validation images. Lines are "
    "means over the seeds, bands reach from the lowest to the highest run."
)
MORE = f" The {PLOTTED} settings with the lowest error have a plot of their own."

Kind = Literal["line", "thick", "dashed", "dotted", "points", "hollow"]

Histories = Sequence[Sequence[Mapping[str, float]]]
"""The epochs of each run, with ``train/mse`` and ``val/mse``."""


@dataclass(frozen=True)
class Series:
    """One data series of a plot.

    Attributes:
        label: in the legend; empty for none.
        low, high: ends of the spread at each point: a band along a line, bars at points.
        colour: an index into the palette of ``fae.drawing.figures``; None for black.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Kind
    colour: int | None
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Plot:
    """A pair of axes with its series."""

    title: str
    series: list[Series]

    @property
    def legend(self) -> bool:
        """Whether there is a legend: at most ten series can be told apart in one."""
        return 0 < sum(bool(series.label) for series in self.series) <= 10


@dataclass(frozen=True)
class Chart:
    """Plots that share the meaning of their axes.

    Attributes:
        name: of its files.
        heading: what it shows, in a few words.
        caption: how it is to be read.
        ticks: where the x axis is labelled, if not automatically; it is then logarithmic.
        log_y: whether the y axis is logarithmic.
        whole_x: whether only whole numbers are labelled on the x axis.
    """

    name: str
    heading: str
    x_label: str
    y_label: str
    plots: list[Plot]
    ticks: list[float] = field(default_factory=list)
    log_y: bool = False
    whole_x: bool = True
    caption: str = ""

    @property
    def bars(self) -> bool:
        """Whether spreads are bars at points, or else bands along lines."""
        return bool(self.ticks)


def curves(histories: Mapping[str, Histories]) -> Chart:
    """Error against epoch.

    Lines are means over the runs, bands reach from the lowest to the highest run. Each setting
    has a plot of its own, up to 16; where there are several, the first plot has all of them.

    Args:
        histories: title of a setting to its runs.
    """
    plots = [
        Plot(
            title,
            [
                _over_runs("training", runs, "train/mse", "thick", 0),
                _over_runs("validation", runs, "val/mse", "line", None),
            ],
        )
        for title, runs in _lowest(histories).items()
    ]
    together = [
        series
        for colour, (title, runs) in enumerate(histories.items())
        for series in (
            _over_runs(title, runs, "train/mse", "thick", colour),
            _over_runs("", runs, "val/mse", "line", colour),
        )
    ]
    if len(plots) > 1:
        plots.insert(0, Plot("training (thick) and validation", together))
    return Chart(
        "curves",
        "Error against epoch",
        "epoch",
        "mean squared error",
        plots,
        caption=CAPTION + (MORE if len(histories) > PLOTTED else ""),
    )


def _lowest(histories: Mapping[str, Histories]) -> dict[str, Histories]:
    """The settings with plots of their own, in their order."""

    def last_error(title: str) -> float:
        return float(np.mean([epochs[-1]["val/mse"] for epochs in histories[title]]))

    lowest = sorted(histories, key=last_error)[:PLOTTED]
    return {title: runs for title, runs in histories.items() if title in lowest}


def _over_runs(
    label: str,
    runs: Histories,
    metric: str,
    kind: Kind,
    colour: int | None,
) -> Series:
    """At each epoch the mean and the range, over the runs that reached it."""
    length = max(map(len, runs))
    values = np.full((len(runs), length), np.nan)
    for row, epochs in zip(values, runs, strict=True):
        row[: len(epochs)] = [epoch[metric] for epoch in epochs]
    several = len(runs) > 1
    return Series(
        label,
        list(range(1, length + 1)),
        np.nanmean(values, axis=0).tolist(),
        kind,
        colour,
        np.nanmin(values, axis=0).tolist() if several else None,
        np.nanmax(values, axis=0).tolist() if several else None,
    )
