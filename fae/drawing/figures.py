"""Figures of charts: a chart in, a matplotlib Figure out, and the figure as SVG.

Text is at least 8 pt at a figure's own size, which is at most the width of a page.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from fae.drawing.chart import Chart, Differences, Kind, Look, Series
from fae.runtime.console import printable

WIDEST, SINGLE, PANEL = 9.4, 4.8, 2.9
"""Inches: a figure at most, one of a single plot, and a panel of several."""
HIGH, LOW = 2.5, 1.0
"""Inches: the height of a panel, and of one below it."""
MARGIN = 0.1
"""The part of an axis that is left free at each end."""
HEIGHTS = "y", "low", "high"
"""Attributes of a series that are drawn along the y axis."""
SHIFT = 6
"""Points between series that are shifted."""
IN_LEGEND = 16
"""Series in a legend at most: more cannot be told apart."""
STYLES: Mapping[Kind, Mapping[str, Any]] = {
    "curve": {"linewidth": 1.2, "marker": ""},
    "thick": {"linewidth": 4, "marker": "", "alpha": 0.55},
    "line": {"linewidth": 1.2, "markersize": 5},
    "points": {"linestyle": "", "markersize": 6},
    "hollow": {"linestyle": "", "markersize": 6, "fillstyle": "none", "alpha": 0.8},
    "reference": {"linestyle": "", "marker": "D", "markersize": 10, "fillstyle": "none"},
    "dashed": {"linewidth": 1.2, "linestyle": "--", "marker": ""},
    "dotted": {"linewidth": 1.2, "linestyle": ":", "marker": ""},
    "cloud": {
        "linestyle": "",
        "marker": "o",
        "markersize": 2,
        "markeredgewidth": 0,
        "rasterized": True,  # a path for each dot would make a large file
    },
}
"""For matplotlib."""
DOTS = 150
"""Pixels per inch of what is rasterized."""
ALONE = "o"
"""The marker of a curve of one point, which has no line."""


def draw(chart: Chart) -> Figure:
    """A chart: up to five plots stand in one row, with their lower panels below them."""
    count = len(chart.plots)
    columns = count if count <= 5 else min((4, 5, 3), key=lambda columns: -count % columns)
    rows, parts = math.ceil(count / columns), 2 if chart.below else 1
    width = SINGLE if count == 1 else min(WIDEST, 0.8 + PANEL * columns)
    heights = [HIGH, LOW][:parts] * rows
    figure = Figure(figsize=(width, 0.9 + sum(heights)), layout="constrained")
    grid = figure.subplots(rows * parts, columns, height_ratios=heights, squeeze=False)
    uppers: list[Axes] = list(grid[::parts].flat)
    lowers: list[Axes] = list(grid[1::parts].flat) if chart.below else []
    for axes, plot in zip(uppers, chart.plots, strict=False):
        _draw_series(axes, plot.series)
        _set_title(axes, plot.title, width / columns)
    for axes, plot in zip(lowers, chart.plots, strict=False):
        _draw_series(axes, plot.differences)
    _scale(chart, uppers[:count], lowers[:count])
    _label(chart, uppers, lowers, columns)
    _add_legend(figure, chart.series)
    return literal(figure)


def as_svg(figure: Figure) -> str:
    """The figure as SVG, its texts as paths, so that it looks the same everywhere.

    Equal figures give equal bytes.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "fae"}):
        figure.savefig(file, format="svg", dpi=DOTS, metadata={"Date": None})
    return file.getvalue()


def literal(figure: Figure) -> Figure:
    """The figure with its texts as they are: printable, and no ``$`` taken for mathematics.

    A character that the font lacks, as of a file's name in Japanese, is a box.
    """
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    return figure


def _draw_series(axes: Axes, drawn: Sequence[Series]) -> None:
    for series in drawn:
        style = {"marker": series.look.marker, **STYLES[series.kind]}
        if len(series.x) == 1 and not style["marker"]:
            style |= {"marker": ALONE, "markersize": 7 if series.kind == "thick" else 3}
        shift = ScaledTranslation(series.shift * SHIFT / 72, 0, axes.figure.dpi_scale_trans)
        how: dict[str, Any] = {"color": series.look.colour, "transform": axes.transData + shift}
        axes.plot(series.x, series.y, label=series.label, **style, **how)
        if series.low is None or series.high is None:
            continue
        if style["marker"] == "":
            axes.fill_between(series.x, series.low, series.high, alpha=0.25, linewidth=0, **how)
        else:
            spread = np.abs(np.array([series.low, series.high]) - np.array(series.y))
            axes.errorbar(series.x, series.y, spread, fmt="none", capsize=3, linewidth=1.2, **how)


def _set_title(axes: Axes, title: str, inches: float) -> None:
    """A title at the left, in as many lines as it needs."""
    wrapped = textwrap.fill(title, max(12, int(inches * 11)))
    axes.set_title(wrapped, fontsize=10, loc="left")


def _scale(chart: Chart, uppers: Sequence[Axes], lowers: Sequence[Axes]) -> None:
    """The same scales for all plots, with room for all data, and labels where the data are."""
    x = _limits([*_values(chart.series, "x"), *chart.x.ticks], log=chart.x.log, around=0.5)
    y = _limits(_values(chart.series, *HEIGHTS), log=chart.y.log, around=0.5)
    for axes in [*uppers, *lowers]:
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=9)
        axes.set_xscale("log" if chart.x.log else "linear")
        axes.set_xlim(x)
        if chart.x.ticks:
            axes.set_xticks(chart.x.ticks, [f"{tick:g}" for tick in chart.x.ticks])
            axes.xaxis.set_minor_locator(NullLocator())
    for axes in uppers:
        axes.set_ylim(y)
        if chart.y.log:
            ticks = _log_ticks(*y)
            axes.set_yscale("log")
            axes.set_yticks(ticks, [f"{tick:.6g}" for tick in ticks])
            axes.yaxis.set_minor_locator(NullLocator())
    if chart.below:
        drawn = [series for plot in chart.plots for series in plot.differences]
        ends = [-chart.below.tolerance, 0, chart.below.tolerance]
        y = _limits([*_values(drawn, *HEIGHTS), *ends], log=False, around=0.01)
        for axes in lowers:
            axes.set_ylim(y)
            _mark_zero(axes, chart.below)


def _values(drawn: Sequence[Series], *names: str) -> list[float]:
    """All values of some attributes of series."""
    return [value for series in drawn for name in names for value in getattr(series, name) or ()]


def _limits(values: Sequence[float], *, log: bool, around: float) -> tuple[float, float]:
    """Limits of an axis, with a margin; around a single value on a linear one as much as is given.

    What has no place on a logarithmic axis is left out.
    """
    kept = np.log10([value for value in values if value > 0] or [1.0]) if log else np.array(values)
    low, high = float(kept.min()), float(kept.max())
    pad = MARGIN * (high - low) if low < high else 0.1 if log else around
    return (10 ** (low - pad), 10 ** (high + pad)) if log else (low - pad, high + pad)


def _mark_zero(axes: Axes, below: Differences) -> None:
    axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
    if below.tolerance:
        axes.axhspan(-below.tolerance, below.tolerance, color="#8a8a8a", alpha=0.25, linewidth=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if max(map(abs, axes.get_ylim())) < 4 * below.tolerance:
        axes.set_yticks([-below.tolerance, 0, below.tolerance])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _percent(value)))


def _percent(value: float) -> str:
    sign = "+" if value > 0 else "\N{MINUS SIGN}"
    return f"{sign}{100 * abs(value):.3g} %" if abs(value) > 1e-9 else "0 %"


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis: more of each decade, the fewer decades there are."""
    powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = _within(np.outer(powers, digits).ravel(), low, high)
        if len(ticks) >= 4:
            return ticks[:: math.ceil(len(ticks) / 8)]
    return _within(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high), low, high)


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    return [float(value) for value in values if low <= value <= high]


def _label(chart: Chart, uppers: Sequence[Axes], lowers: Sequence[Axes], columns: int) -> None:
    """Labels of the axes at the left and at the bottom; places without a plot are left empty."""
    count = len(chart.plots)
    bottom = lowers if chart.below else uppers
    for i in range(len(uppers)):
        panels = [uppers[i], *([lowers[i]] if chart.below else [])]
        for axes in panels:
            axes.set_visible(i < count)
            axes.tick_params(labelleft=i % columns == 0, labelbottom=axes is bottom[i])
        if i % columns == 0:
            uppers[i].set_ylabel(chart.y.label, fontsize=10)
            if chart.below:
                lowers[i].set_ylabel(chart.below.label, fontsize=9)
        if i + columns >= count:
            bottom[i].set_xlabel(chart.x.label, fontsize=10)
    uppers[0].figure.align_ylabels([*uppers, *lowers])


def _add_legend(figure: Figure, drawn: Sequence[Series]) -> None:
    """One legend for all plots, above them, off the data; grey where plots differ in colour."""
    looks: dict[str, set[Look]] = {}
    for series in drawn:
        if series.label:
            looks.setdefault(series.label, set()).add(series.look)
    if not 0 < len(looks) <= IN_LEGEND:
        return
    handles: dict[str, Artist] = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    legend = figure.legend(
        [handles[label] for label in looks],
        list(looks),
        loc="outside upper left",
        ncols=_legend_columns(list(looks), figure.get_figwidth()),
        frameon=False,
        fontsize=9,
        columnspacing=1.0,
        handlelength=1.6,
        handletextpad=0.5,
        markerscale=3 if all(series.kind == "cloud" for series in drawn) else 1,
    )
    for handle, several in zip(legend.legend_handles, looks.values(), strict=True):
        if handle and len(several) > 1:
            handle.set(color="grey")


def _legend_columns(labels: Sequence[str], inches: float) -> int:
    """As many as fit into the width, if not all labels do."""
    widths = [0.55 + 0.062 * len(label) for label in labels]
    return len(labels) if sum(widths) < inches else max(1, int(inches / max(widths)))
