"""Decisions: simulated sweeps that add seeds until all is decided are rarely wrong."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fae.reports.decision import MOST_MORE, AgainstPublished, Contrast, Decision, decide, number
from fae.runtime.sequential import FIRST_LOOK, repeated_t

SWEEPS, ROWS, MOST, TOLERANCE = 10_000, 4, 20, 0.03
BOUNDS = repeated_t(0.05 / ROWS)
Floats = NDArray[np.float64]
ANSWERS = ["not enough seeds", "reproduced", "better", "worse"]


def intervals(errors: Floats) -> tuple[Floats, Floats]:
    """Ends of the interval at each look, (..., looks), of errors (..., seeds)."""
    n = np.arange(1, errors.shape[-1] + 1)
    means = errors.cumsum(-1) / n
    squares = np.maximum((errors**2).cumsum(-1) - n * means**2, 0)
    bounds = np.array([BOUNDS(look) for look in n[FIRST_LOOK - 1 :]])
    half = bounds * np.sqrt(squares / n / np.maximum(n - 1, 1))[..., FIRST_LOOK - 1 :]
    return means[..., FIRST_LOOK - 1 :] - half, means[..., FIRST_LOOK - 1 :] + half


def answers(errors: Floats) -> NDArray[np.int64]:
    """Of each row of each sweep the number of its answer, at the first look that has one."""
    low, high = intervals(errors)
    at_looks = np.select(
        [
            high < 1 - TOLERANCE,
            low > 1 + TOLERANCE,
            (low >= 1 - TOLERANCE) & (high <= 1 + TOLERANCE),
        ],
        [2, 3, 1],
        0,
    )
    first = (at_looks != 0).argmax(-1)
    return np.take_along_axis(at_looks, first[..., None], -1)[..., 0]


@pytest.mark.parametrize("spread", [0.001, 0.01, 0.1, 10.0])
@pytest.mark.parametrize(
    "differences",
    [
        (0, 0, 0, 0),
        (0.015, -0.015, 0.025, -0.029),
        (TOLERANCE, TOLERANCE, -TOLERANCE, -TOLERANCE),
        (0.0301, 0.0301, -0.0301, 0.0301),
        (0.04, -0.04, 0.06, -0.1),
        (0, 0.02, 0.031, -0.2),
    ],
)
def test_at_most_5_percent_of_sweeps_have_any_wrong_verdict(
    differences: Sequence[float], spread: float
) -> None:
    """Published errors are 1; exactly at the tolerance either verdict is right."""
    random = np.random.default_rng(2026).standard_normal((SWEEPS, ROWS, MOST))
    found = answers(1 + np.array(differences)[:, None] + spread * random)
    allowed = [
        {
            0,
            *([1] if abs(d) <= TOLERANCE else []),
            *([2 if d < 0 else 3] if abs(d) >= TOLERANCE else []),
        }
        for d in differences
    ]
    right = [np.isin(found[:, row], [*allowed[row]]) for row in range(ROWS)]
    assert 1 - np.all(right, axis=0).mean() <= 0.05


def test_the_simulation_decides_as_sweeps_and_reports_do() -> None:
    errors = 1 + np.random.default_rng(3).normal([[0.0], [0.02], [-0.05]], 0.01, (20, 3, MOST))
    found = answers(errors)
    assert {*found.flat} == {0, 1, 2}
    for sweep, numbers in zip(errors, found, strict=True):
        for row, answer in zip(sweep, numbers, strict=True):
            decision = decide(AgainstPublished([*row], 1.0, TOLERANCE), BOUNDS)
            assert decision.answer == ANSWERS[answer]


@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.03, 1.05, 0.9])
@pytest.mark.parametrize("spread", [0.01, 1.0])
def test_at_most_5_percent_of_sweeps_have_any_wrong_difference(ratio: float, spread: float) -> None:
    """Three settings beside a first one whose error is 1; a seed has a part that all share."""
    random = np.random.default_rng(4).standard_normal((SWEEPS, ROWS + 1, MOST))
    errors = np.array([1, ratio, ratio, ratio])[:, None] + spread * (random[:, :4] + random[:, 4:])
    first, others = errors[:, :1], errors[:, 1:]
    apart, lower, upper = (
        intervals(others - times * first) for times in (1, 1 - TOLERANCE, 1 + TOLERANCE)
    )
    equal = (lower[0] >= 0) & (upper[1] <= 0)
    at_looks = np.select([apart[1] < 0, apart[0] > 0, equal], [2, 3, 1], 0)
    at_first = (at_looks != 0).argmax(-1)[..., None]
    found = np.take_along_axis(at_looks, at_first, -1)[..., 0]
    is_equal = abs(ratio - 1) < TOLERANCE + 1e-9
    right = [0, *([1] if is_equal else []), *([2] if ratio < 1 else [3] if ratio > 1 else [])]
    assert 1 - np.isin(found, right).all(1).mean() <= 0.05


def test_a_decision_stands_whatever_comes_later() -> None:
    sample = [1.0, 1.001, 0.999]
    decided = decide(AgainstPublished(sample, 1.0, TOLERANCE), BOUNDS)
    assert decided == Decision("reproduced")
    assert decide(AgainstPublished([*sample, 2.0, 3.0], 1.0, TOLERANCE), BOUNDS) == decided
    assert (
        decide(AgainstPublished([*sample, 2.0, 3.0], 1.0, TOLERANCE)).answer == "not enough seeds"
    )


def test_how_settings_differ() -> None:
    first = [1.0, 1.1, 0.9, 1.05]
    for others, answer in (
        ([0.5, 0.6, 0.41, 0.55], "lower"),
        ([1.5, 1.61, 1.4, 1.55], "higher"),
        ([1.001, 1.1, 0.899, 1.05], "equal"),
        ([1.5, 0.6, 1.41, 0.55], "not enough seeds"),
    ):
        assert decide(Contrast(others, first, TOLERANCE), BOUNDS).answer == answer


def test_so_many_more_seeds_are_estimated_that_they_would_decide() -> None:
    """Were the mean and the spread what they are."""
    sample = [0.98, 1.0, 1.02]
    decision = decide(AgainstPublished(sample, 1.0, TOLERANCE), BOUNDS)
    assert decision.answer == "not enough seeds"
    assert decision.more_seeds is not None
    spread, total = 0.02, 3 + decision.more_seeds
    assert BOUNDS(total) * spread / total**0.5 <= TOLERANCE
    assert BOUNDS(total - 1) * spread / (total - 1) ** 0.5 > TOLERANCE
    near = decide(AgainstPublished([1.01, 1.03, 1.05], 1.0, TOLERANCE), BOUNDS)
    assert near.more_seeds == MOST_MORE + 1
    assert [number(more) for more in (7, MOST_MORE + 1)] == ["7", "over 100"]


def test_one_seed_tells_nothing_about_how_many_it_would_take() -> None:
    assert decide(AgainstPublished([1.0], 1.0, TOLERANCE)) == Decision("not enough seeds")
    assert decide(AgainstPublished([], 1.0, TOLERANCE), BOUNDS) == Decision("not enough seeds")


def test_with_a_fixed_number_of_seeds_one_looks_once() -> None:
    """By Student's t: 12.7 standard errors of two values, 4.3 of three."""
    sample = [0.999, 1.001]
    assert decide(AgainstPublished(sample, 1.0, 0.0127), None).answer == "not enough seeds"
    assert decide(AgainstPublished(sample, 1.0, 0.0128), None).answer == "reproduced"
