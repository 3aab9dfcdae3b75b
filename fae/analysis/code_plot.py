"""Where the points of a code space stand in a picture, and the marks of its axes."""

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

WIDTH, LEFT, ABOVE, BELOW = 1000, 130, 20, 100
"""Units: the picture's width, and the room around the plot, for labels."""
FLATTEST, STEEPEST = 0.5, 1.0
"""Height of the plot, as a share of its width; both axes have one scale in between."""
MARGIN = 0.04
"""The part of an axis that is left free at each end."""


@dataclass(frozen=True)
class Tick:
    """A mark of an axis, and its place in the picture."""

    place: float
    label: str


@dataclass(frozen=True)
class CodePlot:
    """A picture of points, in units from its top left.

    Attributes:
        width, height: of the whole.
        left, top, bottom: of the plot within it.
        points: their places.
        across, up: marks of the axes.
    """

    width: float
    height: float
    left: float
    top: float
    bottom: float
    points: list[tuple[float, float]]
    across: list[Tick]
    up: list[Tick]


def plotted(positions: NDArray[np.float64]) -> CodePlot:
    """A picture of points (points, 2), with the same scale on both axes."""
    low, high = positions.min(0), positions.max(0)
    middle, span = (low + high) / 2, (high - low) * (1 + 2 * MARGIN)
    wide = float(max(span[0], span[1] / STEEPEST)) or 1.0
    high_span = float(max(span[1], wide * FLATTEST))
    unit = (WIDTH - LEFT) / wide
    height = high_span * unit
    start = middle[0] - wide / 2, middle[1] + high_span / 2

    def x(value: float) -> float:
        return round(float(LEFT + (value - start[0]) * unit), 1)

    def y(value: float) -> float:
        return round(float(ABOVE + (start[1] - value) * unit), 1)

    locate = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values
    return CodePlot(
        WIDTH,
        round(ABOVE + height + BELOW, 1),
        LEFT,
        ABOVE,
        round(ABOVE + height, 1),
        [(x(first), y(second)) for first, second in positions.tolist()],
        [
            Tick(x(t), _label(t))
            for t in locate(start[0], start[0] + wide)
            if start[0] <= t <= start[0] + wide
        ],
        [
            Tick(y(t), _label(t))
            for t in locate(start[1] - high_span, start[1])
            if start[1] - high_span <= t <= start[1]
        ],
    )


def _label(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
