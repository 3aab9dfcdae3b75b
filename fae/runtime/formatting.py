"""Number formats for errors, their intervals, shares, and durations."""

import math
from collections.abc import Sequence
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
    return _fixed(value, _decimals(value))


def format_errors(values: Sequence[float | None]) -> list[str]:
    """The errors of a column, all with as many decimals as the smallest needs; empty for None."""
    decimals = max((_decimals(value) for value in values if value is not None), default=0)
    return ["" if value is None else _fixed(value, decimals) for value in values]


def format_interval(found: "Estimate") -> str:
    """``0.0410 ± 0.0006 (5)``, the last being the number of seeds; of one seed, no interval."""
    return format_intervals([found])[0]


def format_intervals(column: Sequence["Estimate"]) -> list[str]:
    """The same of a column, with as many decimals as the smallest error needs.

    Where these are too few for an interval, its own cell has more.
    """
    decimals = max((_decimals(found.mean) for found in column), default=0)
    return [_interval(found, decimals) for found in column]


def _interval(found: "Estimate", decimals: int) -> str:
    if found.half is None:
        return f"{_fixed(found.mean, decimals)} (one seed)"
    return f"{_with_half(found.mean, found.half, decimals)} ({found.n})"


def format_with_interval(value: float, half: float, like: float) -> str:
    """``0.0410 ± 0.0006``, with at least one digit of the interval.

    Args:
        half: of the interval's width.
        like: an error that sets the least number of decimals.
    """
    return _with_half(value, half, _decimals(like))


def _with_half(value: float, half: float, least: int) -> str:
    """Both with the least number of decimals, or with those of the interval's first digit."""
    if max(abs(value), half) >= LARGE:
        return f"{value:.3g} ± {half:.3g}"
    digits = math.ceil(-math.log10(half)) if half else 0
    decimals = max(least, min(MAX_DECIMALS, digits))
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.3g}" if value >= LARGE else f"{value:.{decimals}f}"


def format_share(share: float, form: str = ".1f") -> str:
    """A share in percent, ``3.1 %``.

    Args:
        form: of the number, as for ``format``.
    """
    return f"{100 * share:{form}} %"


def shortened(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
