"""Test errors of settings compared: by n, by the values of a key, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from fae.drawing import looks
from fae.drawing.chart import Look
from fae.drawing.tables import Columns
from fae.errors import StoreError
from fae.reports.claims import Comparison, compare
from fae.reports.rows import Row
from fae.reports.settings import Setting
from fae.runtime.formatting import format_interval, format_share, format_with_interval
from fae.runtime.intervals import Estimate
from fae.tuning.results import SearchResult

Grid = Mapping[int, Mapping[float, Setting]]
"""Settings by n and by the value of a key."""


def by_n(found: Iterable[Setting | Row | SearchResult]) -> dict[int, Estimate]:
    """Test errors by n."""
    return {result.hidden: result.test for result in found}


def grid(settings: Iterable[Setting], key: str) -> Grid:
    """Settings by n and by the value of a key, in the order of the values."""
    found: dict[int, dict[float, Setting]] = {}
    for setting in settings:
        found.setdefault(setting.hidden, {})[float(setting.config_key[key])] = setting
    return {n: dict(sorted(of_value.items())) for n, of_value in found.items()}


def lines(settings: Grid) -> dict[str, dict[float, Estimate]]:
    """Test errors by value, one line of a chart per n."""
    return {f"n = {n}": {x: s.test for x, s in of_x.items()} for n, of_x in settings.items()}


def looks_of(settings: Grid) -> dict[str, Look]:
    """The looks of these lines, the same for an n in every chart."""
    return {f"n = {n}": look for n, look in looks.in_order(settings).items()}


def matrix(settings: Grid, key: str) -> Columns:
    """Table of test errors: one row per n, one column per value."""
    values = sorted({value for of_value in settings.values() for value in of_value})
    return {
        "n": [str(n) for n in settings],
        **{
            f"{key}={value:g}": [
                format_interval(of_value[value].test) if value in of_value else ""
                for of_value in settings.values()
            ]
            for value in values
        },
    }


def best(settings: Mapping[float, Setting]) -> list[float]:
    """The value with the lowest validation error, and those not distinguishable from it."""
    lowest = min(settings, key=lambda value: fmean(settings[value].validation.values()))
    theirs = settings[lowest].validation
    return [lowest] + [
        value
        for value, setting in settings.items()
        if value != lowest
        and not compared(str(value), setting.validation, str(lowest), theirs).distinguishable
    ]


def compared(
    first: str, ours: Mapping[int, float], second: str, theirs: Mapping[int, float]
) -> Comparison:
    """A comparison by seeds; see ``compare``.

    Raises:
        StoreError: they share fewer than two.
    """
    comparison = compare(first, ours, second, theirs)
    if comparison is None:
        raise StoreError(f"{first} and {second}: share fewer than two seeds; run them again")
    return comparison


def verdict(comparison: Comparison) -> str:
    """Whether the first error is the lower one, beyond seed noise."""
    if not comparison.distinguishable:
        return "cannot be determined"
    return "yes" if comparison.difference.mean < 0 else "no"


def at_each_n(comparisons: Mapping[int, Comparison]) -> str:
    """Whether the first error is the lower one, and for which n if not for all alike."""
    sizes: dict[str, list[int]] = {"yes": [], "no": [], "cannot be determined": []}
    for n, comparison in comparisons.items():
        sizes[verdict(comparison)].append(n)
    given = {verdict: of_verdict for verdict, of_verdict in sizes.items() if of_verdict}
    if len(given) == 1:
        return f"{next(iter(given))} at every n"
    return "; ".join(f"{word} at n = {listed(of)}" for word, of in given.items())


def span(changes: Sequence[float]) -> str:
    """Relative changes from the least to the greatest: ``-56 % to -33 %``."""
    low, high = (format_share(change, "+.0f") for change in (min(changes), max(changes)))
    return low if low == high else f"{low} to {high}"


def difference(comparison: Comparison, base: float) -> str:
    """A difference with its interval and its share of ``base``: ``+0.0020 ± 0.0004 (+5.0 %)``."""
    mean, half = comparison.difference.mean, comparison.difference.half or 0
    size = format_with_interval(abs(mean), half, like=base)
    return f"{'+' if mean > 0 else '-'}{size} ({format_share(mean / base, '+.1f')})"


def listed(values: Sequence[float], form: str = "g", join: str = ", ") -> str:
    """``64, 128``."""
    return join.join(format(value, form) for value in values)
