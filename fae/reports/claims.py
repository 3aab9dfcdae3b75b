"""Claims about curves and times, and the differences between settings, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from statistics import fmean

from fae.reports.labels import labels, others
from fae.reports.rows import Row
from fae.reports.settings import described
from fae.runs.diagnosis import GAP
from fae.runtime.formatting import format_share, format_with_interval
from fae.runtime.intervals import Bound, Estimate, paired, student


@dataclass(frozen=True)
class Claim:
    """A question, its answer (None: cannot be told), and the reason in a sentence."""

    question: str
    holds: bool | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Two settings, seed by seed.

    Attributes:
        difference: test error of the first minus that of the second, paired by seed.
        distinguishable: whether the interval excludes zero.
    """

    first: str
    second: str
    difference: Estimate
    distinguishable: bool
    sentence: str


def group_by_others(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Settings that differ in nothing but the number of hidden units, by the other values."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(described(row.others), []).append(row)
    return groups


def claims(rows: Sequence[Row]) -> list[Claim]:
    """Two claims, checked: the curves are almost identical, and the time grows with n."""
    groups = group_by_others(rows).values()
    short = others([replace(group[0], hidden=0) for group in groups])  # n tells no group apart
    return [
        _about_curves(rows),
        *(_about_time(short[group[0].title], group) for group in groups if len(group) > 1),
    ]


def comparisons(
    rows: Sequence[Row], bound: Bound = student, first: Row | None = None
) -> list[Comparison]:
    """Settings of equal n with each other, each with its neighbour in n, and with the first.

    Args:
        bound: of their intervals.
        first: the setting that others are compared with, if any are.
    """
    neighbours = [pair for group in group_by_others(rows).values() for pair in pairwise(group)]
    equals = [(a, b) for a, b in combinations(rows, 2) if a.hidden == b.hidden]
    to_first = [(first, row) for row in rows if first and row.against_first]
    pairs = {(a.title, b.title): (a, b) for a, b in [*equals, *neighbours, *to_first]}
    short = labels(rows)
    compared = (
        compare(short[a.title], a.errors, short[b.title], b.errors, bound)
        for a, b in pairs.values()
    )
    return [comparison for comparison in compared if comparison]


def _about_curves(rows: Sequence[Row]) -> Claim:
    short = labels(rows)
    gaps = {short[row.title]: max(run.diagnosis.largest_gap for run in row.runs) for row in rows}
    widest = max(gaps, key=lambda name: gaps[name])
    differing = [name for name, gap in gaps.items() if gap > GAP]
    runs = sum(len(row.runs) for row in rows)
    where = "of the run" if runs == 1 else f"of all {runs} runs"
    sentence = (
        f"no: validation differs from training by up to {format_share(gaps[widest])} ({widest}), "
        f"and by more than {format_share(GAP, 'g')} for {', '.join(differing)}"
        if differing
        else f"yes: after every epoch {where} validation lies within {format_share(gaps[widest])} "
        f"of training ({widest}; more than {format_share(GAP, 'g')} would be a no)"
    )
    return Claim(
        "Are the training and validation curves almost identical?", not differing, sentence
    )


def _about_time(shared: str, rows: Sequence[Row]) -> Claim:
    """A rise or a fall is one where quartile ranges do not overlap.

    Args:
        shared: values besides n that tell these rows from others.
    """
    question = f"Does the training time grow with n{' for ' * bool(shared)}{shared}?"
    times = [row.times for row in rows]
    if remarks := {t.remark for t in times if t.remark}:
        return Claim(question, None, f"cannot be told: some {' and '.join(sorted(remarks))}")
    shown = rows if len(rows) <= 6 else [rows[0], rows[-1]]
    medians = ", ".join(f"{row.times.median:.3g}" for row in shown)
    found = f"medians {medians} s for n = {', '.join(str(row.hidden) for row in shown)}"
    if min(t.n for t in times) < 3:
        return Claim(question, None, f"cannot be told from fewer than 3 runs each: {found}")
    if any(b.high < a.low for a, b in pairwise(times)):
        return Claim(question, False, f"no, not from each n to the next: {found}")
    if any(b.low <= a.high for a, b in pairwise(times)):
        return Claim(question, None, f"cannot be told, quartile ranges overlap: {found}")
    return Claim(question, True, f"yes: {found}; no two quartile ranges overlap")


def compare(
    first: str,
    ours: Mapping[int, float],
    second: str,
    theirs: Mapping[int, float],
    bound: Bound = student,
) -> Comparison | None:
    """Compare two settings by the seeds that they share; None where those are too few.

    Args:
        first, second: their names.
        ours, theirs: their test errors by seed.
        bound: of the interval.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    ours_of_both, theirs_of_both = ([its[seed] for seed in seeds] for its in (ours, theirs))
    difference = paired(ours_of_both, theirs_of_both, bound)
    if difference.low is None or difference.high is None:
        return None
    distinguishable = difference.low > 0 or difference.high < 0
    lower, other = (first, second) if difference.mean < 0 else (second, first)
    larger = theirs if difference.mean < 0 else ours
    mean = fmean(larger[seed] for seed in seeds)
    size = (
        f"{format_with_interval(abs(difference.mean), difference.half or 0, like=mean)} "
        f"({format_share(abs(difference.mean) / mean)})"
    )
    sentence = (
        f"{lower} has a lower test error than {other}, by {size}: beyond seed noise"
        if distinguishable
        else f"{first} and {second} differ by {size}: not distinguishable with {len(seeds)} seeds"
    )
    return Comparison(first, second, difference, distinguishable, sentence)
