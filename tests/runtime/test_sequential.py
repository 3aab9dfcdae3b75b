"""Intervals that hold after every look: their bounds against exact values and a simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from fae.runtime.intervals import Estimate, estimate, student
from fae.runtime.sequential import FIRST_LOOK, _spent, repeated_t


def test_the_first_bound_is_that_of_a_t_test_with_its_share_of_the_errors() -> None:
    low, high = scipy.stats.t.interval(1 - 0.05 / 6, 2)
    assert repeated_t(0.05)(3) == pytest.approx(high, abs=1e-6)
    assert low == pytest.approx(-high)


def test_before_the_first_look_there_is_no_interval() -> None:
    assert repeated_t(0.05)(2) == math.inf
    assert estimate([1.0, 2.0], repeated_t(0.05)) == Estimate(1.5, 2, None, None)


@pytest.mark.parametrize(
    ("error", "bounds"),
    [
        (0.05, {4: 6.336, 5: 5.0049, 6: 4.404, 7: 4.0735, 10: 3.6387, 20: 3.3653}),
        (0.0125, {4: 10.5887, 5: 7.619, 6: 6.3427, 7: 5.6555, 10: 4.7546, 20: 4.1126}),
    ],
)
def test_bounds_are_those_of_a_grid_eight_times_as_fine(
    error: float, bounds: dict[int, float]
) -> None:
    assert {n: repeated_t(error)(n) for n in bounds} == pytest.approx(bounds, rel=2e-3)


def test_as_many_samples_are_wrong_by_each_look_as_may_be() -> None:
    """Means of normal samples whose interval has missed zero, by the number of values."""
    samples, error = 40_000, 0.2
    values = np.random.default_rng(1).standard_normal((samples, 20)) * 7
    n = np.arange(1, 21)
    means = values.cumsum(1) / n
    variances = ((values**2).cumsum(1) - n * means**2)[:, 2:] / (n - 1)[2:]
    t = np.abs(means[:, 2:]) / np.sqrt(variances / n[2:])
    bounds = np.array([repeated_t(error)(look) for look in n[2:]])
    missed = np.maximum.accumulate(t > bounds, axis=1).mean(0)
    allowed = np.array([error * _spent(look) for look in n[2:]])
    assert missed == pytest.approx(allowed, abs=4 * math.sqrt(0.2 * 0.8 / samples))


def test_bounds_are_tighter_than_bonferronis_over_the_looks_and_wider_than_of_one_look() -> None:
    error = 0.05
    for n in range(FIRST_LOOK + 1, 31):
        share = error * (_spent(n) - _spent(n - 1))
        assert student(n) < repeated_t(error)(n) < scipy.stats.t.isf(share / 2, n - 1)


def test_however_many_look_less_is_spent_than_there_is() -> None:
    assert _spent(FIRST_LOOK) == pytest.approx(1 / 6)
    assert _spent(FIRST_LOOK + 4) == 0.5
    assert 0.99 < _spent(1000) < 1


def test_an_error_probability_shared_by_a_million_has_bounds() -> None:
    bounds = [repeated_t(0.05 / 10**6)(n) for n in (3, 4, 5, 10)]
    assert bounds == sorted(bounds, reverse=True)
    assert all(map(math.isfinite, bounds))
