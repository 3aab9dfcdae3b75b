"""Colours and markers that tell series apart, also in grey and for colour-blind eyes."""

from collections.abc import Iterable
from typing import TypeVar

from fae.drawing.chart import Look

MARKERS = "osD^vPX<>*"
FIRST, LAST = 0.64, 0.02
"""The part of viridis that shows on white paper: a medium green to a dark violet."""
APART = ("#d55e00", "#0072b2", "#e69f00", "#cc79a7", "#56b4e9", "#7a7a7a")
"""Okabe and Ito (2008), *Color universal design*, and grey; no greens, which stand for sizes."""

Size = TypeVar("Size", int, float)


def in_order(values: Iterable[Size]) -> dict[Size, Look]:
    """Looks of sizes such as n: from light to dark, in the order of the values.

    The same values have the same looks in every figure.
    """
    import matplotlib
    from matplotlib.colors import to_hex

    distinct = sorted(set(values))
    step = (LAST - FIRST) / max(1, len(distinct) - 1)
    viridis = matplotlib.colormaps["viridis"]
    return {
        value: Look(to_hex(viridis(FIRST + step * i)), _marker(i))
        for i, value in enumerate(distinct)
    }


def apart(names: Iterable[str]) -> dict[str, Look]:
    """Looks of things without an order, such as optimizers; colours and markers repeat."""
    distinct = dict.fromkeys(names)
    return {name: Look(APART[i % len(APART)], _marker(i)) for i, name in enumerate(distinct)}


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]
