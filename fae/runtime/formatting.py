"""Number formats for errors, their intervals, and durations."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fae.runtime.intervals import Estimate

SMALL = 1e-6, 0.01
"""Errors between these have three significant digits; others four decimals, as in the paper."""
LARGE = 1e6
"""Errors from here on have an exponent."""
MAX_DECIMALS = 8


def format_error(value: float) -> str:
    """``0.0410``, or ``0.00817`` for a small error."""
    return f"{value:.3g}" if value >= LARGE else f"{value:.{_decimals(value)}f}"


def format_interval(found: "Estimate") -> str:
    """``0.0410 ± 0.0006 (5)``, the last being the number of seeds; of one seed, no interval."""
    if found.half is None:
        return f"{format_error(found.mean)} (one seed)"
    return f"{format_with_interval(found.mean, found.half, like=found.mean)} ({found.n})"


def format_with_interval(value: float, half: float, like: float) -> str:
    """``0.0410 ± 0.0006``, with at least one digit of the interval.

    Args:
        half: of the interval's width.
        like: an error that sets the least number of decimals.
    """
    if max(abs(value), half) >= LARGE:
        return f"{value:.3g} ± {half:.3g}"
    decimals = max(
        _decimals(like), min(MAX_DECIMALS, math.ceil(-math.log10(half))) if half > 0 else 0
    )
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def format_duration(seconds: float) -> str:
    """``4.1 s``, ``42 s``, ``2 min 10 s`` or ``1 h 17 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _in_two(whole, 60, "min", "s")
    return _in_two(round(seconds / 60), 60, "h", "min")


def _in_two(amount: int, size: int, unit: str, rest_unit: str) -> str:
    """An amount in a larger unit and the rest, without a rest of 0."""
    units, rest = divmod(amount, size)
    return f"{units} {unit} {rest} {rest_unit}" if rest else f"{units} {unit}"


def _decimals(value: float) -> int:
    size = abs(value)
    small = SMALL[0] < size < SMALL[1]
    return 2 - math.floor(math.log10(size)) if small else 4
