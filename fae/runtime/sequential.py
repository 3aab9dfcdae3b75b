"""Intervals of a mean that stay valid when one looks at them after each new value.

An interval that is looked at again and again, until it shows something, has more chances to be
wrong than one that is looked at once. Here the probability of an error is spent over all the looks
that there may ever be, however many. So a sample may stop growing for any reason, or grow on.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

FIRST_LOOK = 3
"""Values at the first look. After two, an interval that is valid tells nothing."""
HALF_SPENT = 5
"""Looks that spend half of the error probability."""
EDGES = 1 - np.linspace(1, 0, 101) ** 3
"""Of the cells of the recursion, as shares of the largest r; dense where an error is near. Eight
times as many cells change no bound by more than 0.2 %."""
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2

Floats = NDArray[np.float64]


@cache
def repeated_t(error: float) -> "RepeatedT":
    """The bounds for an error probability, computed once."""
    return RepeatedT(error)


class RepeatedT:
    """Half of the interval's width in standard errors, by the number of values.

    With probability ``1 - error`` the intervals after 3, 4, 5, ... values all contain the mean of
    independent normal values of any variance.

    That is exact. With deviations d from the true mean, r = sum(d) / sqrt(sum(d²)) of n values
    fixes Student's t, and the next r is (r + x) / sqrt(1 + x²), where sqrt(n) x has Student's
    distribution with n degrees of freedom, independent of all before it. (Jennison and Turnbull
    1991, *Exact calculations for sequential t, χ² and F tests*.) So the distribution of r among
    samples without an error so far follows step by step. How much is spent by which look is fixed
    in advance by a function of the number of values alone, whatever the largest number. (Lan and
    DeMets 1983, *Discrete sequential boundaries for clinical trials*.)

    Args:
        error: probability that any of the intervals misses the mean.
    """

    def __init__(self, error: float) -> None:
        self.error = error
        first = error * _spent(FIRST_LOOK)
        self._bounds = [float(special.stdtrit(FIRST_LOOK - 1, 1 - first / 2))]
        self._most = _as_r(self._bounds[0], FIRST_LOOK)
        self._cells = (1 - first) * np.diff(EDGES)  # r of three values is uniformly distributed
        """Probability that no interval so far is wrong and that \\|r\\| lies in a cell."""

    def __call__(self, values: int) -> float:
        """The bound; infinite before the first look."""
        while len(self._bounds) <= values - FIRST_LOOK:
            self._look_again()
        if values < FIRST_LOOK:
            return math.inf
        return round(self._bounds[values - FIRST_LOOK], 6)  # the same on any machine

    def _look_again(self) -> None:
        n = FIRST_LOOK + len(self._bounds)
        r, right = self._most * MIDDLES, 1 - self.error * _spent(n)
        most = optimize.brentq(
            lambda most: self._cells @ _next_within(r, most, n - 1) - right, 0, math.sqrt(n)
        )
        self._cells = np.diff(self._cells @ _next_within(r[:, None], most * EDGES, n - 1))
        self._most = most
        self._bounds.append(float(most * math.sqrt((n - 1) / (n - most**2))))


def _spent(values: int) -> float:
    """The share of the error probability that is spent by so many values."""
    looks = values - FIRST_LOOK + 1
    return looks / (looks + HALF_SPENT)


def _as_r(t: float, n: int) -> float:
    """The r of a Student's t of n values."""
    return t * math.sqrt(n / (n - 1 + t**2))


def _next_within(r: Floats, most: Floats | float, n: int) -> Floats:
    """Probability that the next \\|r\\| is at most so large, given r of n values.

    In angles: the next r is sin(a + arctan(r)) sqrt(1 + r²), where tan(a) is x.
    """
    turn, half = np.arctan(r), np.arcsin(np.minimum(most / np.hypot(1, r), 1))
    return _below(half - turn, n) - _below(-half - turn, n)


def _below(angle: Floats, n: int) -> Floats:
    """Distribution function of the angle a, which is repeated with period π."""
    within: Floats = special.stdtr(n, math.sqrt(n) * np.tan(angle))
    return np.round(angle / np.pi) + within
