"""How many digits of an error a person is shown."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fae.statistics import Estimate

SMALL = 1e-6, 0.01
"""An error between these has three digits; others have the four decimals that the paper gives."""


def error(value: float, like: float | None = None) -> str:
    """``0.0410``, or ``0.00817`` of a smaller one.

    Args:
        like: an error that it stands beside, which then tells how many decimals there are.
    """
    return f"{value:.{_decimals(value if like is None else like)}f}"


def interval(found: "Estimate") -> str:
    """``0.0410 ± 0.0006 (5)``, or without an interval where one seed gives none."""
    if found.half is None:
        return f"{error(found.mean)} (one seed)"
    return f"{error(found.mean)} ± {error(found.half, like=found.mean)} ({found.n})"


def _decimals(value: float) -> int:
    size = abs(value)
    small = SMALL[0] < size < SMALL[1]
    return 2 - math.floor(math.log10(size)) if small else 4
