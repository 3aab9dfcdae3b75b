"""The report as one self-contained HTML page: no network, no other file.

What it says is in the summary; ``page.html`` has the headings and the layout.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fae.analysis import inside
from fae.drawing import html, pictures, sheets
from fae.drawing.chart import Chart, Plot, Series
from fae.drawing.html import LISTED
from fae.drawing.pictures import Example, Floats
from fae.drawing.tables import Columns
from fae.reports import table
from fae.reports.catalogue import Content
from fae.reports.labels import labels
from fae.reports.summary import Summary
from fae.runtime.formatting import format_error, format_errors

TEMPLATE = Path(__file__).with_name("page.html")
FIRST = ("setting", "verdict", "against first")
"""Columns that come first, to be in sight on a phone."""


def page(content: Content, charts: Sequence[Chart], svgs: Mapping[str, str]) -> str:
    """The whole page as HTML; every text in it is escaped, and printable.

    Args:
        charts: in their order on the page.
        svgs: by the chart's name.
    """
    summary = content.summary
    return html.template(TEMPLATE, FILTERS).render(
        summary=summary,
        names=labels(summary.rows),
        tables={part.__name__.capitalize(): _in_order(part(summary)) for part in table.TABLES},
        legend=table.legend(summary),
        charts=charts,
        svgs=svgs,
        galleries=content.galleries,
        with_weights=content.with_weights,
        is_colour=pictures.is_colour,
        reconstructions=_reconstructions(content),
        ranked=sheets.RANKED,
        left_out=len(summary.rows) - len(content.galleries),
        runs=_runs(summary),
        addresses=content.addresses,
        best=content.best,
        probes=inside.probes(content.explorations),
        inside=inside,
    )


def _in_order(columns: Columns) -> Columns:
    """The columns, those of ``FIRST`` ahead."""
    return {name: columns[name] for name in FIRST if name in columns} | dict(columns)


def _runs(summary: Summary) -> list[dict[str, str]]:
    """The runs of all settings, one row each."""
    runs = [(row.title, run) for row in summary.rows for run in row.runs]
    errors = format_errors([run.test for _, run in runs])
    return [
        {
            "setting": title,
            "seed": str(run.seed),
            "id": run.id,
            "commit": run.commit[:8] + run.commit[40:],
            "error": error,
            "seconds": f"{run.fit_s:.2f}",
        }
        for (title, run), error in zip(runs, errors, strict=True)
    ]


def _reconstructions(content: Content) -> dict[str, list[tuple[Floats, str]]]:
    """Each row of reconstructions: the images, and the error of each."""
    originals = content.galleries[0].panel.originals
    return {
        label: list(
            zip(images, map(format_error, np.square(images - originals).mean(1)), strict=True)
        )
        for label, images in content.reconstructions.items()
    }


def _in_words(chart: Chart) -> str:
    """What a chart shows, for those who cannot see it: where its lines begin and end."""
    more = len(chart.plots) - LISTED
    parts = [
        f"{chart.heading}: {chart.y.label} against {chart.x.label}",
        *map(_plot_in_words, chart.plots[:LISTED]),
        *([f"And {more} more"] if more > 0 else []),
    ]
    return ". ".join(parts) + "."


def _plot_in_words(plot: Plot) -> str:
    """``n = 64: training 0.155 at 1 to 0.0671 at 3, validation 0.156 at 1 to 0.0674 at 3``."""
    courses = ", ".join(map(_course, [s for s in plot.series if s.label and len(s.x)][:LISTED]))
    return f"{plot.title}: {courses}" if plot.title else courses


def _course(series: Series) -> str:
    if series.kind == "cloud":
        return f"{series.label} around {np.mean(series.x):.2g}, {np.mean(series.y):.2g}"
    ends = [f"{series.y[i]:.3g} at {series.x[i]:g}" for i in (0, -1)]
    return f"{series.label} {' to '.join(dict.fromkeys(ends))}"


def _error_map(example: Example) -> str:
    return html.png(pictures.error_map(example.original, example.reconstruction))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "error_map": _error_map,
    "in_words": _in_words,
    "svg": lambda svg: html.data_url("svg+xml", svg.encode()),
    "tiles": lambda gallery: html.png(pictures.tiles(gallery.weights)),
}
