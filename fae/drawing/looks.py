"""Colours and markers that tell series apart, also in grey and for colour-blind eyes."""

import math
from collections.abc import Iterable
from typing import TypeVar

from fae.drawing.chart import Look

MARKERS = "osD^vPX<>*"
FIRST, LAST = 0.7, 0.0
"""The part of viridis that shows on white paper: a medium green to a dark violet."""
SMALLEST, LARGEST = 4, 1024
"""Sizes that have these colours; those beyond have the same ones."""
APART = ("#d55e00", "#0072b2", "#e69f00", "#cc79a7", "#56b4e9", "#7a7a7a")
"""Okabe and Ito (2008), *Color universal design*, and grey; no greens, which stand for sizes."""
CLASSES = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Petroff (2021), *Accessible color sequences for data visualization*."""

Size = TypeVar("Size", int, float)


def in_order(values: Iterable[Size]) -> dict[Size, Look]:
    """Looks of positive sizes such as n: the larger, the darker, and markers in their order.

    The same size has the same colour in every figure, whatever stands beside it.
    """
    return {value: Look(_shade(value), _marker(i)) for i, value in enumerate(sorted(set(values)))}


def apart(names: Iterable[str]) -> dict[str, Look]:
    """Looks of things without an order, such as optimizers; colours and markers repeat."""
    distinct = dict.fromkeys(names)
    return {name: Look(APART[i % len(APART)], _marker(i)) for i, name in enumerate(distinct)}


def of_classes(names: Iterable[str]) -> dict[str, Look]:
    """Looks of up to ten classes of images, which are drawn as clouds; colours repeat."""
    return {name: Look(CLASSES[i % len(CLASSES)]) for i, name in enumerate(names)}


def _shade(size: float) -> str:
    """The colour of a size: as many steps along the scale as it was doubled."""
    import matplotlib
    from matplotlib.colors import to_hex

    bounded = min(max(size, SMALLEST), LARGEST)
    share = math.log2(bounded / SMALLEST) / math.log2(LARGEST / SMALLEST)
    return to_hex(matplotlib.colormaps["viridis"](FIRST + (LAST - FIRST) * share))


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]
