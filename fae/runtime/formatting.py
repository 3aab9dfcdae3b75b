"""How many digits of an error a person is shown."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fae.runtime.intervals import Estimate

SMALL = 1e-6, 0.01
"""An error between these has three digits; others have the four decimals that the paper gives."""
LARGE = 1e6
"""An error from here on has an exponent."""
MOST = 8
"""Decimals at most."""


def error(value: float) -> str:
    """``0.0410``, or ``0.00817`` of a smaller one."""
    return f"{value:.3g}" if value >= LARGE else f"{value:.{_decimals(value)}f}"


def interval(found: "Estimate") -> str:
    """``0.0410 ± 0.0006 (5)``, or without an interval where one seed gives none."""
    if found.half is None:
        return f"{error(found.mean)} (one seed)"
    return f"{with_half(found.mean, found.half, like=found.mean)} ({found.n})"


def with_half(value: float, half: float, like: float) -> str:
    """``0.0410 ± 0.0006``: a value and half of its interval, of which at least a digit is shown.

    Args:
        like: an error that tells how many decimals there are at least.
    """
    if max(abs(value), half) >= LARGE:
        return f"{value:.3g} ± {half:.3g}"
    decimals = max(_decimals(like), min(MOST, math.ceil(-math.log10(half))) if half > 0 else 0)
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def _decimals(value: float) -> int:
    size = abs(value)
    small = SMALL[0] < size < SMALL[1]
    return 2 - math.floor(math.log10(size)) if small else 4
