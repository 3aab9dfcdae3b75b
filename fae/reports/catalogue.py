"""The figures of a report, one line each.

A chart is on the page, with its heading and caption, and in ``figures/`` as SVG.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fae.drawing import figures
from fae.drawing.chart import Chart, curves
from fae.drawing.pictures import Gallery
from fae.reports import charts
from fae.reports.settings import Setting
from fae.reports.summary import Summary


@dataclass(frozen=True)
class Content:
    """What a report is made of.

    Attributes:
        pca: test error of PCA by the number of components, on the first setting's data.
        galleries: pictures of some settings' networks.
        addresses: of the runs' pages in the UI of MLflow, by id; none where it has no server.
    """

    summary: Summary
    settings: Sequence[Setting]
    pca: NDArray[np.float64]
    galleries: Sequence[Gallery]
    addresses: Mapping[str, str] = field(default_factory=dict)


CHARTS: Sequence[Callable[[Content], Chart]] = (
    lambda content: curves({s.title: [run.epochs for run in s.runs] for s in content.settings}),
    lambda content: charts.errors_by_size(content.summary, content.pca),
    lambda content: charts.times_by_size(content.summary),
)
"""In the order of the page."""

PICTURES: Mapping[str, Callable[[Sequence[Gallery]], Figure]] = {
    "reconstructions": lambda galleries: figures.reconstructions(
        {gallery.title: gallery.panel for gallery in galleries}
    ),
    "extremes": figures.extremes,
    "hidden_units": figures.hidden_units,
}
"""By the names of their files, which are PNG; the page has them in its own layout."""
