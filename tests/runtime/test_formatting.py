"""Errors as a person reads them."""

import math

import pytest

from fae.runtime.formatting import (
    format_duration,
    format_error,
    format_errors,
    format_interval,
    format_intervals,
    format_share,
)
from fae.runtime.intervals import Estimate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.04096, "0.0410"),
        (0.01, "0.0100"),
        (0.0081744, "0.00817"),
        (0.00038249, "0.000382"),
        (1.2, "1.2000"),
        (0.0, "0.0000"),
        (5e-21, "0.0000"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_small_errors_have_three_digits_and_others_the_papers_four_decimals(
    value: float, shown: str
) -> None:
    assert format_error(value) == shown


def test_an_interval_has_the_decimals_of_its_middle() -> None:
    assert format_interval(Estimate(0.04186, 5, 0.04124, 0.04248)) == "0.0419 ± 0.0006 (5)"
    assert format_interval(Estimate(0.00475, 5, 0.004746, 0.004754)) == "0.004750 ± 0.000004 (5)"
    assert format_interval(Estimate(0.5, 5, 0.5, 0.5)) == "0.5000 ± 0.0000 (5)"
    assert format_interval(Estimate(0.0081, 5, 0.008, 0.0082)) == "0.00810 ± 0.00010 (5)"
    assert format_interval(Estimate(0.0410, 1, None, None)) == "0.0410 (one seed)"


def test_errors_that_are_far_too_large_have_an_exponent() -> None:
    assert format_error(9.87e29) == "9.87e+29"
    assert format_interval(Estimate(9.87e29, 5, 9.86e29, 9.88e29)) == "9.87e+29 ± 1e+27 (5)"
    assert format_interval(Estimate(4.0, 2, -1e7, 1e7)) == "4 ± 1e+07 (2)"


def test_errors_of_a_column_have_as_many_decimals() -> None:
    assert format_errors([0.0410, None, 0.00332]) == ["0.04100", "", "0.00332"]
    assert format_errors([0.0410, 2e29]) == ["0.0410", "2e+29"]
    assert format_errors([]) == []
    narrow, wide = Estimate(0.00475, 5, 0.00474, 0.00476), Estimate(0.0410, 1, None, None)
    assert format_intervals([wide, narrow]) == ["0.04100 (one seed)", "0.00475 ± 0.00001 (5)"]


def test_an_interval_adds_decimals_to_its_own_cell_only() -> None:
    narrow = Estimate(0.0086401, 5, 0.0086393, 0.0086409)
    column = [narrow, Estimate(0.2085438, 1, None, None), Estimate(0.04, 5, 0.039, 0.041)]
    assert format_intervals(column) == [
        "0.0086401 ± 0.0000008 (5)",
        "0.20854 (one seed)",
        "0.04000 ± 0.00100 (5)",
    ]


def test_a_share_is_in_percent() -> None:
    assert format_share(0.0306) == "3.1 %"
    assert format_share(-0.56, "+.0f") == "-56 %"
    assert format_share(0.07, "g") == "7 %"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (4.13, "4.1 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (130.2, "2 min 10 s"),
        (3599.7, "1 h"),
        (4612.0, "1 h 17 min"),
        (100_000.0, "27 h 47 min"),
    ],
)
def test_a_duration_has_its_units(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown
