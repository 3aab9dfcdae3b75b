"""Charts as values; ``fae.drawing.figures`` draws them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fae.runtime.formatting import format_error

PLOTTED = 16
"""Settings that have a plot of their curves; of more, those with the lowest error."""
CAPTION = (
    "After each epoch, in evaluation mode, over all training and all validation images. Lines are "
    "means over the seeds, bands reach from the lowest to the highest run; titles give the last "
    "validation error. Below: how far validation lies above training, relative to the latter."
)
MORE = f" Shown are the {PLOTTED} settings with the lowest error."
TARGET = (
    " The paper's test error stands at the last epoch, as the paper does not say how many it had."
)

Kind = Literal[
    "curve", "thick", "line", "points", "hollow", "reference", "dashed", "dotted", "cloud"
]
"""curve, thick, dashed, dotted: without markers, the spread being a band; line: markers joined by
a line; points, hollow: markers; reference: large open markers, around which others can be seen;
cloud: dots, of which there may be thousands."""

Histories = Sequence[Sequence[Mapping[str, float]]]
"""The epochs of each run, with ``train/mse`` and ``val/mse``."""


@dataclass(frozen=True)
class Look:
    """Colour and marker of a series, as matplotlib names them; see ``fae.drawing.looks``."""

    colour: str = "black"
    marker: str = "o"


BLACK = Look()


@dataclass(frozen=True)
class Series:
    """One data series of a plot.

    Attributes:
        label: in the legend; empty for none.
        low, high: ends of the spread at each point: a band along a curve, bars at markers.
        shift: by how many markers it is drawn to the right of its place, to hide no other.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Kind
    look: Look = BLACK
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    shift: float = 0.0


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        ticks: where it is labelled; chosen automatically if there are none.
    """

    label: str
    ticks: Sequence[float] = ()
    log: bool = False


@dataclass(frozen=True)
class Differences:
    """The lower panels of a chart, which show relative differences in percent.

    Attributes:
        label: of the axis.
        tolerance: half the width of the band around 0 that is shaded; a share.
    """

    label: str
    tolerance: float = 0.0


@dataclass(frozen=True)
class Plot:
    """A panel with its series, and those of the lower panel, if the chart has any."""

    title: str
    series: list[Series]
    differences: list[Series] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """Plots that share their axes.

    Attributes:
        name: of its file.
        heading: what it shows, in a few words.
        caption: how it is to be read.
        below: the lower panels, one per plot.
    """

    name: str
    heading: str
    x: Axis
    y: Axis
    plots: list[Plot]
    below: Differences | None = None
    caption: str = ""

    @property
    def series(self) -> list[Series]:
        """Those of all plots."""
        return [series for plot in self.plots for series in plot.series]


def curves(
    histories: Mapping[str, Histories],
    looks: Mapping[str, Look] | None = None,
    published: Mapping[str, float] | None = None,
) -> Chart:
    """Error against epoch, one plot per setting, and the gap between validation and training.

    Lines are means over the runs, bands reach from the lowest to the highest run.

    Args:
        histories: title of a setting to its runs; of more than 16, the best are shown.
        looks: of the training error, by title.
        published: test error of a paper, by title.
    """
    shown, published = _lowest(histories), published or {}
    plots = [
        _curves(title, runs, (looks or {}).get(title, Look("#0072b2")), published.get(title))
        for title, runs in shown.items()
    ]
    last = max(len(epochs) for runs in shown.values() for epochs in runs)
    return Chart(
        "curves",
        "Error against epoch",
        Axis("epoch", _epochs(last)),
        Axis("mean squared error", log=True),
        plots,
        Differences("val / train\n\N{MINUS SIGN} 1"),
        CAPTION
        + (MORE if len(histories) > PLOTTED else "")
        + (TARGET if set(published) & set(shown) else ""),
    )


def _curves(title: str, runs: Histories, look: Look, target: float | None) -> Plot:
    validation = _over_runs("validation", runs, lambda epoch: epoch["val/mse"], "curve", BLACK)
    series = [
        _over_runs("training", runs, lambda epoch: epoch["train/mse"], "thick", look),
        validation,
    ]
    if target is not None:
        series.append(Series("the paper's test error", validation.x[-1:], [target], "reference"))
    gap = _over_runs("", runs, _gap, "curve", look)
    return Plot(f"{title}: {format_error(validation.y[-1])}", series, [gap])


def _gap(epoch: Mapping[str, float]) -> float:
    """How far validation lies above training, relative to the latter."""
    train, val = epoch["train/mse"], epoch["val/mse"]
    return val / train - 1 if train else 0.0


def _lowest(histories: Mapping[str, Histories]) -> dict[str, Histories]:
    """The settings that are shown, in their order."""

    def last_error(title: str) -> float:
        return float(np.mean([epochs[-1]["val/mse"] for epochs in histories[title]]))

    lowest = sorted(histories, key=last_error)[:PLOTTED]
    return {title: runs for title, runs in histories.items() if title in lowest}


def _over_runs(
    label: str,
    runs: Histories,
    measure: Callable[[Mapping[str, float]], float],
    kind: Kind,
    look: Look,
) -> Series:
    """At each epoch the mean and the range of a measure, over the runs that reached it."""
    length = max(map(len, runs))
    values = np.full((len(runs), length), np.nan)
    for row, epochs in zip(values, runs, strict=True):
        row[: len(epochs)] = [measure(epoch) for epoch in epochs]
    several = len(runs) > 1
    return Series(
        label,
        list(range(1, length + 1)),
        np.nanmean(values, axis=0).tolist(),
        kind,
        look,
        np.nanmin(values, axis=0).tolist() if several else None,
        np.nanmax(values, axis=0).tolist() if several else None,
    )


def _epochs(last: int) -> list[float]:
    """The first epoch, the last, and round ones between them that are not close to these."""
    steps = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    step = next(step for step in steps if last <= 5 * step)
    between = [n for n in range(step, last, step) if 1 + step / 2 < n < last - step / 2]
    return [float(epoch) for epoch in dict.fromkeys([1, *between, last])]
