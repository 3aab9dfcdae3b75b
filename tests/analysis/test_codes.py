"""Codes and where they lie, of a network whose codes are known."""

import numpy as np
import pytest
import torch
from inner import Known, images, run_of
from torch import Tensor

from fae.analysis.codes import OTHERS, by_class, code_space, codes_of
from fae.data.images import Images
from fae.tracking.archive import UnreadableError


def test_codes_are_those_of_the_network_over_several_batches() -> None:
    pixels = torch.arange(2500).remainder(256).to(torch.uint8).repeat(4, 1).T.contiguous()
    codes = codes_of(run_of(Known(2)), Images(pixels, torch.zeros(2500, dtype=torch.int64)))
    assert codes.shape == (2500, 2)
    np.testing.assert_array_equal(codes, pixels[:, :2].float().div(255).numpy())


@pytest.mark.parametrize("code", [float("nan"), float("inf"), 1e30])
def test_codes_that_are_no_numbers_are_refused(code: float) -> None:
    class Hostile(Known):
        def encode(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 2), code)

    with pytest.raises(UnreadableError, match="its codes may be no numbers"):
        codes_of(run_of(Hostile(2)), images([[0, 0, 0, 0]], [0]))


def test_positions_are_components_in_deviations_of_the_first() -> None:
    """A cross along (3, 4) and (-4, 3), to 10 and to 5, and a unit that is dead."""
    along, aside = np.array([0.6, 0.8, 0]), np.array([-0.8, 0.6, 0])
    codes = np.array([10 * along, -10 * along, 5 * aside, -5 * aside], np.float32) + 7
    space = code_space(codes, np.zeros(4, np.int64))
    deviation = np.sqrt(200 / 3)
    np.testing.assert_allclose(np.abs(space.positions[:2, 0]), 10 / deviation, rtol=1e-6)
    np.testing.assert_allclose(np.abs(space.positions[2:, 1]), 5 / deviation, rtol=1e-6)
    np.testing.assert_allclose(space.positions[:2, 1], 0, atol=1e-6)
    np.testing.assert_allclose(space.positions.sum(0), 0, atol=1e-6)
    assert space.explained == pytest.approx((0.8, 0.2))
    assert space.constant == 1


def test_two_units_are_turned_and_lose_nothing() -> None:
    codes = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    space = code_space(codes, np.zeros(50, np.int64))
    assert sum(space.explained) == pytest.approx(1)
    distances = [
        np.linalg.norm(c[0] - c[1]) / np.linalg.norm(c[2] - c[3]) for c in (codes, space.positions)
    ]
    assert distances[0] == pytest.approx(distances[1], rel=1e-5)


def test_beside_a_single_unit_stands_the_class() -> None:
    space = code_space(np.array([[0], [1], [2]], np.float32), np.array([0, 1, 2]))
    assert np.abs(space.positions[:, 0]) == pytest.approx([1, 0, 1])
    assert space.positions[:, 1] == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5)])
    assert space.explained == (1, 0)


@pytest.mark.parametrize(("count", "hidden"), [(5, 3), (1, 3), (5, 1), (1, 1)])
def test_codes_that_are_all_the_same_are_one_point(count: int, hidden: int) -> None:
    space = code_space(np.full((count, hidden), 0.1, np.float32), np.zeros(count, np.int64))
    assert (space.positions == 0).all()
    assert (space.explained, space.constant) == ((0, 0), hidden)


def test_of_many_classes_the_rare_ones_are_a_group() -> None:
    labels = np.repeat(np.arange(12), [5, 1, 5, 5, 5, 5, 2, 5, 5, 5, 1, 3])
    names = [f"class {label}" for label in range(12)]
    groups = by_class(labels, names)
    assert [*groups] == [*(names[i] for i in (0, 2, 3, 4, 5, 7, 8, 9, 11)), OTHERS]
    assert groups[OTHERS].sum() == 4
    assert [*by_class(labels[labels < 10], names)] == names[:10]
