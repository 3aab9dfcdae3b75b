"""Intervals against scipy's tests, and the verdict at its borders."""

import pytest
import scipy.stats

from fae.runtime.intervals import Estimate, Verdict, estimate, paired, quartiles, verdict

OURS = [0.0410, 0.0423, 0.0417, 0.0425, 0.0418]
THEIRS = [0.0330, 0.0321, 0.0327, 0.0329, 0.0326]


def test_an_interval_is_that_of_a_t_test() -> None:
    found = estimate(OURS)
    low, high = scipy.stats.ttest_1samp(OURS, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(sum(OURS) / 5, rel=1e-14)
    assert found.n == 5
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.half == pytest.approx((high - low) / 2, rel=1e-12)


def test_one_value_has_no_interval() -> None:
    assert estimate([0.04]) == Estimate(0.04, 1, None, None)
    assert estimate([0.04]).half is None


def test_a_paired_interval_is_that_of_a_paired_t_test() -> None:
    found = paired(OURS, THEIRS)
    low, high = scipy.stats.ttest_rel(OURS, THEIRS).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-10)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired(OURS, THEIRS[:-1])


def test_quartiles() -> None:
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2.0, 3.0, 4.0)
    assert quartiles([1.0, 2.0]) == (1.25, 1.5, 1.75)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.75, 1.25, "reproduced"),
        (0.9, 1.1, "reproduced"),
        (0.7499, 1.25, "not enough seeds"),
        (0.75, 1.2501, "not enough seeds"),
        (0.5, 2.0, "not enough seeds"),
        (0.7, 0.75, "not enough seeds"),
        (0.7, 0.7499, "better"),
        (1.25, 1.3, "not enough seeds"),
        (1.2501, 1.3, "worse"),
        (None, None, "not enough seeds"),
    ],
)
def test_the_verdict_at_its_borders(
    low: float | None, high: float | None, expected: Verdict
) -> None:
    """Published 1, tolerance a quarter: borders that floats hit exactly."""
    assert verdict(Estimate(1.0, 5, low, high), 1.0, 0.25) == expected
