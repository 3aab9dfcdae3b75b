"""Confidence intervals of means, and verdicts that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

Verdict = Literal["reproduced", "better", "worse", "not enough seeds"]


@dataclass(frozen=True)
class Estimate:
    """The mean of a sample, with its 95 % confidence interval (Student's t).

    Attributes:
        n: size of the sample.
        low, high: ends of the interval; None for a sample of one.
    """

    mean: float
    n: int
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half of the interval's width; None for a sample of one."""
        return None if self.high is None else self.high - self.mean


def estimate(sample: Sequence[float]) -> Estimate:
    """The mean and interval of one or more independent, roughly normal values."""
    values = np.asarray(sample, dtype=np.float64)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(mean, n, None, None)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, n, mean - half, mean + half)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The mean and interval of the differences ``ours - theirs``, paired by seed."""
    return estimate([a - b for a, b in zip(ours, theirs, strict=True)])


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
        return "not enough seeds"
    least, most = published * (1 - tolerance), published * (1 + tolerance)
    if ours.high < least:
        return "better"
    if ours.low > most:
        return "worse"
    return "reproduced" if least <= ours.low and ours.high <= most else "not enough seeds"
