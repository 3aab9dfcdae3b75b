"""The figures of a report, one line each.

A chart is on the page, with its heading and caption, and in ``figures/`` as SVG; a picture is in
``figures/`` as PNG, and the page has it in its own layout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fae.analysis import inside
from fae.analysis.exploration import Exploration
from fae.drawing import sheets
from fae.drawing.chart import Chart
from fae.drawing.pictures import Floats, Gallery
from fae.reports import charts
from fae.reports.settings import Setting
from fae.reports.summary import Summary
from fae.runtime.formatting import format_error


@dataclass(frozen=True)
class Content:
    """What a report is made of.

    Attributes:
        pca: test error of PCA by the number of components, on the first setting's data.
        galleries: pictures of some settings' networks.
        linear: the images of the galleries as PCA reconstructs them, by the number of components.
        addresses: of the runs' pages in the UI of MLflow, by id; none where it has no server.
        explorations: what is inside the networks of the galleries; of those whose codes are
            numbers.
    """

    summary: Summary
    settings: Sequence[Setting]
    pca: NDArray[np.float64]
    galleries: Sequence[Gallery]
    linear: Mapping[int, Floats] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    explorations: Sequence[Exploration] = ()

    @property
    def best(self) -> Exploration | None:
        """Of the explorations that of the network with the lowest validation error."""
        return min(self.explorations, key=lambda each: each.run.tested["val/mse"], default=None)

    @property
    def with_weights(self) -> list[Gallery]:
        """The galleries of networks with weights that can be shown."""
        return [gallery for gallery in self.galleries if len(gallery.weights)]

    @property
    def reconstructions(self) -> dict[str, Floats]:
        """Reconstructions of the galleries' images, by who made them and the mean test error."""
        networks = {(g.title, g.test): g.panel.reconstructions for g in self.galleries}
        linear = {
            (f"PCA, n = {n}", float(self.pca[n])): images for n, images in self.linear.items()
        }
        return {
            f"{title}\ntest error {format_error(error)}": images
            for (title, error), images in {**networks, **linear}.items()
        }


def _interpolations(best: Exploration | None) -> Figure | None:
    found = best.interpolations if best else []
    rows = [(each.title, each.strip) for each in found]
    return sheets.strips(rows, inside.HEADS) if rows else None


def _samples(best: Exploration | None) -> Figure | None:
    if not best or not len(best.samples):
        return None
    return sheets.strips([("", row) for row in np.split(best.samples, 2)])


CHARTS: Sequence[Callable[[Content], Chart | None]] = (
    lambda content: charts.curves(content.settings, content.summary),
    lambda content: charts.errors_by_size(content.summary, content.pca),
    lambda content: charts.times_by_size(content.summary),
    lambda content: charts.code_spaces(content.explorations) if content.explorations else None,
)
"""In the order of the page; None where there is nothing to show."""

PICTURES: Mapping[str, Callable[[Content], Figure | None]] = {
    "reconstructions": lambda content: sheets.reconstructions(
        content.galleries[0].panel, content.reconstructions
    ),
    "extremes": lambda content: sheets.extremes(content.galleries),
    "hidden_units": lambda content: (
        sheets.hidden_units(content.with_weights) if content.with_weights else None
    ),
    "interpolations": lambda content: _interpolations(content.best),
    "samples": lambda content: _samples(content.best),
}
"""By the names of their files; None where there is nothing to show."""
