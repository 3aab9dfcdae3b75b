"""Charts for a web page: what ``Plotly.newPlot`` takes."""

import html
import math
from itertools import chain
from typing import Any

from fae.drawing.chart import STYLES, Chart, Plot, Series
from fae.runtime.console import in_one_line

PIXELS = 1.25
"""Per point."""
MARKERS = {"none": "circle", "dot": "circle", "cross": "x", "circle": "circle-open"}


def as_plotly(chart: Chart) -> dict[str, Any]:
    """A chart as plain values for JSON; its texts are escaped.

    ``ranges`` are those of the y axes of all plots, so that they can be compared, by scale; in
    logarithms for a logarithmic one, where only what is positive has a place.
    """
    ends = [
        end
        for plot in chart.plots
        for series in plot.series
        for end in chain(series.y, series.low or [], series.high or [])
    ]
    positive = [end for end in ends if end > 0] or [1.0]
    return {
        "name": chart.name,
        "ranges": {
            "linear": (min(ends) - 0.05 * abs(min(ends)), max(ends) + 0.05 * abs(max(ends))),
            "log": (math.log10(0.95 * min(positive)), math.log10(1.05 * max(positive))),
        },
        "plots": [_plot(plot, chart) for plot in chart.plots],
    }


def _plot(plot: Plot, chart: Chart) -> dict[str, Any]:
    traces = (_traces(series, bars=chart.bars) for series in plot.series)
    return {
        "data": [*chain.from_iterable(traces)],
        "layout": {
            "title": {"text": html.escape(in_one_line(plot.title)), "font": {"size": 14}},
            "margin": {"l": 60, "r": 10, "t": 35 if plot.title else 10, "b": 10},
            "hovermode": "x unified" if plot.legend else "closest",
            **({} if plot.legend else {"showlegend": False}),
            "legend": {"orientation": "h", "y": -0.3},
            "font": {"family": "system-ui, sans-serif", "size": 11},
            "xaxis": _x_axis(chart),
            "yaxis": _y_axis(chart),
        },
    }


def _x_axis(chart: Chart) -> dict[str, Any]:
    axis = {"title": {"text": chart.x_label, "standoff": 4}, "automargin": True}
    if not chart.ticks:
        return axis
    labels = [f"{tick:g}" for tick in chart.ticks]
    return {**axis, "type": "log", "tickvals": chart.ticks, "ticktext": labels}


def _y_axis(chart: Chart) -> dict[str, Any]:
    return {
        "title": {"text": chart.y_label},
        "type": "log" if chart.log_y else "linear",
        "minorloglabels": "complete",
        "exponentformat": "none",
        **({"dtick": "D2"} if chart.log_y else {}),
        "automargin": True,
    }


def _traces(series: Series, *, bars: bool) -> list[dict[str, Any]]:
    """A series, and the band along it; bars are part of it."""
    style = STYLES[series.kind]
    trace = {
        "mode": _mode(series, bars=bars),
        "opacity": style.opacity,
        "name": html.escape(in_one_line(series.label)),
        "showlegend": bool(series.label),
        "x": list(series.x),
        "y": list(series.y),
        "line": {"width": PIXELS * style.width, "dash": style.dash, "color": series.hex},
        "marker": {
            "symbol": MARKERS[style.marker],
            "size": PIXELS * style.size,
            "color": series.hex,
        },
        "hovertemplate": "%{y:.5g}",
    }
    if series.low is None or series.high is None:
        return [trace]
    if bars:
        above = [high - y for high, y in zip(series.high, series.y, strict=True)]
        below = [y - low for low, y in zip(series.low, series.y, strict=True)]
        return [{**trace, "error_y": {"type": "data", "array": above, "arrayminus": below}}]
    band = {
        "x": [*series.x, *reversed(series.x)],
        "y": [*series.high, *reversed(series.low)],
        "fill": "toself",
        "fillcolor": series.hex,
        "opacity": 0.2,
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [band, trace]


def _mode(series: Series, *, bars: bool) -> str:
    shown = {
        "lines": STYLES[series.kind].width > 0,
        "markers": series.marked(bars=bars),
    }
    return "+".join(name for name, is_shown in shown.items() if is_shown)
