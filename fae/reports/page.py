"""The report as one HTML page that needs nothing else: no network, no other file."""

import base64
import html
import io
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from fae.drawing import pictures
from fae.drawing.chart import Chart, Kind, Plot, Series
from fae.drawing.figures import units_title
from fae.drawing.pictures import Example, Gallery, Picture
from fae.reports import table
from fae.reports.summary import Summary
from fae.runtime import formatting
from fae.runtime.console import in_one_line, printable
from fae.runtime.intervals import Verdict

TEMPLATE = Path(__file__).with_name("page.html")

STYLES: dict[Kind, dict[str, Any]] = {
    "line": {"mode": "lines", "line": {"width": 1.5}},
    "thick": {"mode": "lines", "line": {"width": 5}, "opacity": 0.45},
    "dashed": {"mode": "lines", "line": {"width": 1.5, "dash": "dash"}},
    "dotted": {"mode": "lines", "line": {"width": 1.5, "dash": "dot"}},
    "points": {"mode": "markers", "marker": {"symbol": "x", "size": 10}},
    "hollow": {"mode": "markers", "marker": {"symbol": "circle-open", "size": 9}},
}
WORDS = {
    "curves": (
        "Error against epoch",
        "After each epoch, in evaluation mode, over all training and all validation images. "
        "Lines are means over the seeds, bands reach from the lowest to the highest run. Of more "
        "than 16 settings, those with the lowest error have a plot of their own.",
    ),
    "error_by_size": (
        "Test error against n",
        "Ours with 95 % intervals, the paper's, and what principal components reach.",
    ),
    "time_by_size": (
        "Training time against n",
        "Ours as medians with quartiles, and the paper's, of one run each on another machine.",
    ),
}
"""Heading and caption of each chart."""


def page(summary: Summary, charts: Sequence[Chart], galleries: Sequence[Gallery]) -> str:
    """The whole page as HTML; every text in it is escaped, and printable."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_printable
    )
    environment.filters |= {
        "capital": lambda text: text[:1].upper() + text[1:],
        "grey": lambda image: _png(pictures.grey(image)),
        "error": formatting.error,
        "error_map": _error_map,
        "tiles": lambda gallery: _png(pictures.tiles(gallery.weights)),
        "units_title": units_title,
    }
    columns = {**table.errors(summary), **table.details(summary)}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        summary=summary,
        runs=sum(len(row.runs) for row in summary.rows),
        headings=list(columns),
        rows=list(zip(*columns.values(), strict=True)),
        verdicts=get_args(Verdict),
        legend=table.legend(summary),
        charts=[_chart(chart) for chart in charts],
        galleries=galleries,
        left_out=len(summary.rows) - len(galleries),
        plotly=get_plotlyjs(),
    )


def _printable(value: object) -> object:
    """What is written for a value; markup is the template's own."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _chart(chart: Chart) -> dict[str, Any]:
    heading, caption = WORDS[chart.name]
    return {
        "name": chart.name,
        "heading": heading,
        "caption": caption,
        "switch": not chart.log_y,
        "range": _range(chart),
        "plots": [_plot(plot, chart) for plot in chart.plots],
    }


def _range(chart: Chart) -> tuple[float, float]:
    """What the y axes of all plots show, so that they can be compared."""
    ends = [
        end
        for plot in chart.plots
        for series in plot.series
        for end in chain(series.y, series.low or [], series.high or [])
    ]
    return 0.95 * min(ends), 1.05 * max(ends)


def _plot(plot: Plot, chart: Chart) -> dict[str, Any]:
    """What ``Plotly.newPlot`` takes."""
    x_axis: dict[str, Any] = {
        "title": {"text": chart.x_label, "standoff": 4},
        "automargin": True,
    }
    if chart.ticks:
        x_axis |= {
            "type": "log",
            "tickvals": chart.ticks,
            "ticktext": [f"{tick:g}" for tick in chart.ticks],
        }
    return {
        "data": [
            trace for series in plot.series for trace in _traces(series, bars=bool(chart.ticks))
        ],
        "layout": {
            "title": {"text": html.escape(in_one_line(plot.title)), "font": {"size": 14}},
            "margin": {"l": 60, "r": 10, "t": 35 if plot.title else 10, "b": 10},
            "hovermode": "x unified" if plot.legend else "closest",
            **({} if plot.legend else {"showlegend": False}),
            "legend": {"orientation": "h", "y": -0.3},
            "font": {"family": "system-ui, sans-serif", "size": 11},
            "xaxis": x_axis,
            "yaxis": {
                "title": {"text": chart.y_label},
                "type": "log" if chart.log_y else "linear",
                "minorloglabels": "complete",
                "exponentformat": "none",
                **({"dtick": "D2"} if chart.log_y else {}),
                "automargin": True,
            },
        },
    }


def _traces(series: Series, *, bars: bool) -> list[dict[str, Any]]:
    style = STYLES[series.kind]
    trace = {
        **style,
        "name": html.escape(in_one_line(series.label)),
        "showlegend": bool(series.label),
        "x": list(series.x),
        "y": list(series.y),
        "line": {**style.get("line", {}), "color": series.hex},
        "marker": {**style.get("marker", {}), "color": series.hex},
        "hovertemplate": "%{y:.5g}",
    }
    if len(series.x) == 1 or (bars and series.kind == "line"):
        trace["mode"] = "lines+markers"
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


def _error_map(example: Example) -> str:
    return _png(pictures.error_map(example.original, example.reconstruction))


def _png(picture: Picture) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
