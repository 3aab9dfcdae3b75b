"""Figures: charts, images and weights in, a matplotlib Figure out, and the figure as SVG."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from fae.drawing.chart import Chart, Kind, Plot, Series
from fae.drawing.pictures import Gallery, Panel, Picture, error_map, grey, tiles
from fae.runtime.console import printable
from fae.runtime.formatting import format_error

PALETTE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"]
"""Colours of series; they repeat."""
STYLES: Mapping[Kind, Mapping[str, Any]] = {
    "line": {"linewidth": 1.2, "marker": "."},
    "thick": {"linewidth": 4, "alpha": 0.45, "marker": "."},
    "dashed": {"linewidth": 1, "linestyle": "--"},
    "dotted": {"linewidth": 1, "linestyle": ":"},
    "points": {"linestyle": "", "marker": "x", "markersize": 8},
    "hollow": {"linestyle": "", "marker": "o", "fillstyle": "none"},
}
"""For matplotlib. Along a line, markers are drawn only where the points count."""
SIDE, GAP, MARGIN = 0.95, 0.04, 0.3
"""Inches: a picture in a grid, the distance to its labels, and the room for those at the left and
at the top."""
CELL = (1.05, 1.25)
"""Inches from one picture to the next, to the right and down."""


def draw(chart: Chart) -> Figure:
    """A chart with three or four plots per row, whichever leaves fewer places empty."""
    count = len(chart.plots)
    columns = count if count < 4 else min((4, 3), key=lambda columns: -count % columns)
    rows = math.ceil(count / columns)
    wide = 5.0 if count == 1 else 3.2
    figure = Figure(figsize=(1.2 + wide * columns, 0.6 + 2.8 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for panel, plot in zip(axes, chart.plots, strict=False):
        _draw_plot(panel, plot, chart)
    for empty in axes[count:]:
        empty.set_axis_off()
    figure.supxlabel(chart.x_label, fontsize=10)
    figure.supylabel(chart.y_label, fontsize=10)
    return _literal(figure)


def reconstructions(panels: Mapping[str, Panel]) -> Figure:
    """The same images as several networks reconstruct them.

    Args:
        panels: title of a column to the reconstructions of its network.
    """
    shown = next(iter(panels.values()))
    grid = _Grid(len(shown.originals), 1 + len(panels))
    for row, (image, label) in enumerate(zip(shown.originals, shown.classes, strict=True)):
        grid.show(row, 0, grey(image), left=label, above="" if row else "original")
    for column, (title, panel) in enumerate(panels.items(), start=1):
        for row, image in enumerate(panel.reconstructions):
            below = format_error(panel.errors[row])
            grid.show(row, column, grey(image), below=below, above="" if row else title)
    return _literal(grid.figure)


def extremes(galleries: Sequence[Gallery]) -> Figure:
    """Each network's best, median and worst test image: original, reconstruction, difference."""
    grid = _Grid(len(galleries), 9)
    for row, gallery in enumerate(galleries):
        for i, example in enumerate(gallery.extremes):
            left, above = "" if i else gallery.title, "" if row else example.label
            grid.show(row, 3 * i, grey(example.original), left=left, below=example.shows)
            below = format_error(example.error)
            grid.show(row, 3 * i + 1, grey(example.reconstruction), above=above, below=below)
            grid.show(row, 3 * i + 2, error_map(example.original, example.reconstruction))
    return _literal(grid.figure)


def hidden_units(galleries: Sequence[Gallery]) -> Figure:
    """Each first-layer unit's weights as an image, by decreasing norm."""
    pictures = [tiles(gallery.weights) for gallery in galleries]
    heights = [1 + 5 * picture.shape[0] / picture.shape[1] for picture in pictures]
    figure = Figure(figsize=(10, sum(heights)), layout="constrained")
    axes = figure.subplots(len(pictures), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, gallery, picture in zip(axes, galleries, pictures, strict=True):
        panel.imshow(picture, interpolation="nearest")
        panel.set_axis_off()
        panel.set_title(units_title(gallery), fontsize=9)
    return _literal(figure)


def as_svg(figure: Figure) -> str:
    """The figure as SVG, its texts as paths, so that it looks the same everywhere.

    Equal figures give equal bytes.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "fae"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _literal(figure: Figure) -> Figure:
    """The figure with its texts as they are: printable, and no ``$`` taken for mathematics."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    return figure


def units_title(gallery: Gallery) -> str:
    """``n = 64: 64 units in the first layer, 0 of them dead``."""
    dead = "dead ones not counted" if gallery.dead is None else f"{gallery.dead} of them dead"
    return f"{gallery.title}: {len(gallery.weights)} units in the first layer, {dead}"


def _draw_plot(panel: Axes, plot: Plot, chart: Chart) -> None:
    for series in plot.series:
        _draw_series(panel, series, bars=chart.bars)
    panel.set_title(plot.title, fontsize=10)
    panel.grid(alpha=0.3)
    if chart.log_y:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_locator(NullLocator())
    if chart.ticks:
        panel.set_xscale("log")
        panel.set_xticks(chart.ticks, [f"{tick:g}" for tick in chart.ticks])
        panel.xaxis.set_minor_locator(NullLocator())
    else:
        panel.xaxis.set_major_locator(MaxNLocator(integer=chart.whole_x))
    panel.tick_params(labelbottom=True)
    if plot.legend:
        panel.legend(frameon=False, fontsize=8)


def _draw_series(panel: Axes, series: Series, *, bars: bool) -> None:
    colour = "black" if series.colour is None else PALETTE[series.colour % len(PALETTE)]
    style = dict(STYLES[series.kind])
    if "linewidth" in style and not bars and len(series.x) > 1:
        style["marker"] = ""
    panel.plot(series.x, series.y, color=colour, label=series.label, **style)
    if series.low is None or series.high is None:
        return
    if bars:
        spread = np.abs(np.array([series.low, series.high]) - np.array(series.y))
        panel.errorbar(series.x, series.y, spread, fmt="none", ecolor=colour, capsize=3)
    else:
        panel.fill_between(series.x, series.low, series.high, color=colour, alpha=0.2, linewidth=0)


class _Grid:
    """A figure for small pictures in rows and columns.

    All are in one Axes, whose unit is the inch: one for each takes most of the time of a report.

    Attributes:
        figure: the figure.
    """

    def __init__(self, rows: int, columns: int) -> None:
        right, bottom = CELL[0] * columns, CELL[1] * rows
        self.figure = Figure(figsize=(MARGIN + right, MARGIN + bottom))
        self._axes = self.figure.add_axes((0, 0, 1, 1), xlim=(-MARGIN, right))
        self._axes.set_ylim(bottom, -MARGIN)
        self._axes.set_axis_off()

    def show(
        self,
        row: int,
        column: int,
        picture: Picture,
        *,
        left: str = "",
        above: str = "",
        below: str = "",
    ) -> None:
        """Show a picture with labels around it."""
        x, y, middle = CELL[0] * column, CELL[1] * row, SIDE / 2
        self._axes.imshow(
            picture,
            extent=(x, x + SIDE, y + SIDE, y),
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="nearest",
        )
        self._axes.add_patch(Rectangle((x, y), SIDE, SIDE, fill=False, linewidth=0.8))
        for label, place, how in (
            (left, (x - GAP, y + middle), {"ha": "right", "va": "center", "rotation": 90}),
            (above, (x + middle, y - GAP), {"ha": "center", "va": "bottom"}),
            (below, (x + middle, y + SIDE + GAP), {"ha": "center", "va": "top"}),
        ):
            if label:
                self._axes.text(*place, label, fontsize=8, **how)
