"""Confidence intervals of means, and verdicts that follow from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

Verdict = Literal["reproduced", "better", "worse", "not enough seeds"]
Difference = Literal["lower", "equal", "higher", "not enough seeds"]
UNDECIDED: Literal["not enough seeds"] = "not enough seeds"
Bound = Callable[[int], float]
"""Half of an interval's width in standard errors of the mean, by the size of the sample."""
Interval = Callable[[Sequence[float]], "Estimate"]


@dataclass(frozen=True)
class Estimate:
    """The mean of a sample, with a confidence interval.

    Attributes:
        n: size of the sample.
        low, high: ends of the interval; None for a sample that is too small for one.
    """

    mean: float
    n: int
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half of the interval's width; None where there is none."""
        return None if self.high is None else self.high - self.mean


def student(values: int) -> float:
    """The bound of the 95 % interval of a sample whose size was fixed in advance."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, values - 1))


def estimate(
    sample: Sequence[float], bound: Bound = student, pretended: int | None = None
) -> Estimate:
    """The mean and interval of one or more independent, roughly normal values.

    Args:
        pretended: size of a larger sample with the same mean and spread, whose interval is given.
    """
    values = np.asarray(sample, dtype=np.float64)
    mean, n = float(values.mean()), pretended or len(values)
    if len(values) < 2 or not np.isfinite(factor := bound(n)):
        return Estimate(mean, n, None, None)
    half = float(factor * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, n, mean - half, mean + half)


def paired(ours: Sequence[float], theirs: Sequence[float], bound: Bound = student) -> Estimate:
    """The mean and interval of the differences ``ours - theirs``, paired by seed."""
    return estimate(_minus(ours, theirs), bound)


def _minus(ours: Sequence[float], theirs: Sequence[float], times: float = 1) -> list[float]:
    return [a - times * b for a, b in zip(ours, theirs, strict=True)]


def quartiles(sample: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile, interpolated linearly."""
    low, median, high = np.quantile(np.asarray(sample, dtype=np.float64), [0.25, 0.5, 0.75])
    return float(low), float(median), float(high)


def verdict(ours: Estimate, published: float, tolerance: float) -> Verdict:
    """Whether a published error was reproduced.

    An equivalence test: reproduced if the whole interval lies within ``tolerance`` (a
    share) of the published error, bounds included; better or worse if all of it lies
    below or above; otherwise there are not enough seeds to decide. (Schuirmann 1987, *A
    comparison of the two one-sided tests procedure*.)
    """
    if ours.low is None or ours.high is None:
        return UNDECIDED
    least, most = published * (1 - tolerance), published * (1 + tolerance)
    if ours.high < least:
        return "better"
    if ours.low > most:
        return "worse"
    return "reproduced" if least <= ours.low and ours.high <= most else UNDECIDED


def difference(
    ours: Sequence[float], theirs: Sequence[float], tolerance: float, interval: Interval
) -> Difference:
    """How a mean error differs from another one, by values paired by seed.

    Lower or higher if the whole interval of the differences lies below or above zero. Equal if that
    of ``ours - (1 - tolerance) * theirs`` is not below zero anywhere, nor that with a plus above:
    as ``verdict``, beside a mean that is itself estimated.
    """
    apart, lower, upper = (
        interval(_minus(ours, theirs, times)) for times in (1, 1 - tolerance, 1 + tolerance)
    )
    if apart.high is None or apart.low is None or lower.low is None or upper.high is None:
        return UNDECIDED
    if apart.high < 0 or apart.low > 0:
        return "lower" if apart.high < 0 else "higher"
    return "equal" if lower.low >= 0 and upper.high <= 0 else UNDECIDED
