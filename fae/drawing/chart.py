"""The charts of a report as data; ``fae.drawing.figures`` and ``fae.reports.page`` draw them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fae.reports.claims import families
from fae.reports.rows import Row
from fae.reports.selection import Record
from fae.reports.summary import Summary
from fae.runtime.intervals import Estimate

PLOTTED = 16
"""Settings that have a plot of their curves each; of more, those with the lowest error."""

Kind = Literal["line", "thick", "dashed", "dotted", "points", "hollow"]

PALETTE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"]

Points = Mapping[int, Estimate] | Mapping[float, Estimate]
"""Estimates by what they stand against."""

Histories = Sequence[Sequence[Mapping[str, float]]]
"""Of each run its epochs, with ``train/mse`` and ``val/mse``."""


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        label: in the legend; empty for none.
        low, high: ends of the spread at each point: a band along a line, bars at points.
        colour: a place in the palette, which begins again at its end; None for black.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Kind
    colour: int | None
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    @property
    def hex(self) -> str:
        """The colour, as ``#rrggbb``."""
        return "#000000" if self.colour is None else PALETTE[self.colour % len(PALETTE)]


@dataclass(frozen=True)
class Plot:
    """A pair of axes with its series."""

    title: str
    series: list[Series]

    @property
    def legend(self) -> bool:
        """Whether there is a legend that can be read: not of a great many series."""
        return 0 < sum(bool(series.label) for series in self.series) <= 10


@dataclass(frozen=True)
class Chart:
    """Plots that share their axes' meaning.

    Attributes:
        name: of its files.
        ticks: where the x axis is labelled, if not by itself; it is then logarithmic.
        log_y: whether the y axis is.
        whole_x: whether only whole numbers are labelled on the x axis.
    """

    name: str
    x_label: str
    y_label: str
    plots: list[Plot]
    ticks: list[float] = field(default_factory=list)
    log_y: bool = False
    whole_x: bool = True


def curves(histories: Mapping[str, Histories]) -> Chart:
    """Error against epoch, as in the paper's Figure 1.

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
    return Chart("curves", "epoch", "mean squared error", plots)


def of_records(settings: Mapping[str, Sequence[Record]]) -> Chart:
    """Figure 1 of the runs of each setting."""
    return curves({title: [r.epochs for r in records] for title, records in settings.items()})


def errors_by_size(summary: Summary, pca: NDArray[np.float64]) -> Chart:
    """Test error against n: ours with intervals, the paper's, PCA and the mean image.

    Args:
        pca: test error of PCA by the number of components, of the first row's data.
    """
    sizes = sorted({row.hidden for row in summary.rows})
    components = np.unique(np.geomspace(sizes[0], min(sizes[-1], len(pca) - 1), 50).round())
    shown = [int(n) for n in components if n < len(pca) and pca[int(n)] > 0]
    linear = Series("PCA", shown, [float(pca[n]) for n in shown], "dashed", None)
    mean = [summary.mean_image] * len(sizes)
    ours = [
        _with_intervals(others or "ours", {row.hidden: row.test for row in family}, colour)
        for colour, (others, family) in enumerate(families(summary.rows).items())
    ]
    papers = _papers({row.hidden: row.published for row in summary.rows})
    plot = Plot("", [*ours, *papers, linear, Series("mean image", sizes, mean, "dotted", None)])
    return Chart("error_by_size", "hidden units n", "test error", [plot], _ticks(sizes), log_y=True)


def errors_against(
    name: str,
    label: str,
    groups: Mapping[str, Points],
    *,
    logarithmic: bool,
    beside: Sequence[Series] = (),
) -> Chart:
    """Test error against a number, with intervals, a line a group.

    Args:
        label: what the number is.
        groups: label of a line to its points.
        logarithmic: whether the axes are.
        beside: more lines.
    """
    lines = [_with_intervals(of, points, i) for i, (of, points) in enumerate(groups.items())]
    places = _ticks(sorted({x for points in groups.values() for x in points}))
    plot = Plot("", [*lines, *beside])
    ticks = places if logarithmic else []
    return Chart(name, label, "test error", [plot], ticks, log_y=logarithmic, whole_x=False)


def times_by_size(summary: Summary) -> Chart:
    """Training time against n: ours as medians with quartiles, and the paper's.

    Hollow points are times that are not to be compared.
    """
    sizes = sorted({row.hidden for row in summary.rows})
    ours = [
        Series(
            f"{others or 'ours'}{remark}",
            [row.hidden for row in rows],
            [row.times.median for row in rows],
            kind,
            colour,
            [row.times.low for row in rows],
            [row.times.high for row in rows],
        )
        for colour, (others, family) in enumerate(families(summary.rows).items())
        for kind, remark, rows in _by_remark(family)
        if rows
    ]
    papers = _papers({row.hidden: row.published_s for row in summary.rows})
    plot = Plot("", [*ours, *papers])
    return Chart(
        "time_by_size", "hidden units n", "training time [s]", [plot], _ticks(sizes), log_y=True
    )


def _lowest(histories: Mapping[str, Histories]) -> dict[str, Histories]:
    """The settings that are plotted, in their order."""

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
    """The mean and the range over the runs that got to an epoch, at each epoch."""
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


def _with_intervals(label: str, points: Points, colour: int) -> Series:
    found = points.values()
    return Series(
        label,
        list(points),
        [one.mean for one in found],
        "line",
        colour,
        [one.mean if one.low is None else one.low for one in found],
        [one.mean if one.high is None else one.high for one in found],
    )


def _papers(published: Mapping[int, float | None]) -> list[Series]:
    known = {n: value for n, value in published.items() if value is not None}
    return [Series("paper", list(known), list(known.values()), "points", None)] if known else []


def _ticks(sizes: Sequence[float]) -> list[float]:
    """At most eight of some sizes, evenly apart on a logarithmic axis."""
    if len(sizes) <= 8:
        return list(sizes)
    even = np.geomspace(sizes[0], sizes[-1], 8)
    return sorted({min(sizes, key=lambda size: abs(size - place)) for place in even})


def _by_remark(family: Sequence[Row]) -> list[tuple[Kind, str, list[Row]]]:
    comparable = [row for row in family if row.times.remark is None]
    others = [row for row in family if row.times.remark is not None]
    return [("line", "", comparable), ("hollow", " (not to be compared)", others)]
