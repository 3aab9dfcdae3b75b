"""Errors with exact values."""

import numpy as np
import pytest
import torch

from fae.training.evaluation import Evaluation, dead_units, mse_per_image


def test_identical_images_have_error_0() -> None:
    images = torch.rand(3, 4)
    assert mse_per_image(images, images).tolist() == [0.0, 0.0, 0.0]
    evaluation = Evaluation()
    evaluation.update(images - images)
    assert evaluation.compute() == {"mse": 0.0}


def test_a_constant_offset_has_its_square_as_error() -> None:
    images = torch.zeros(2, 4)
    offset = torch.tensor([[0.5] * 4, [0.25] * 4])
    assert mse_per_image(offset, images).tolist() == [0.25, 0.0625]


def test_batches_of_any_size_give_the_mean_over_all_pixels() -> None:
    ours, images = np.random.default_rng(0).random((2, 7, 5)).astype(np.float32)
    evaluation = Evaluation()
    for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
        evaluation.update(torch.from_numpy(ours[part] - images[part]))
    expected = np.mean((ours.astype(np.float64) - images) ** 2)
    assert evaluation.compute()["mse"] == pytest.approx(expected, rel=1e-6)


def test_a_pass_that_is_over_is_forgotten() -> None:
    evaluation = Evaluation()
    evaluation.update(torch.ones(2, 3))
    evaluation.reset()
    evaluation.update(torch.zeros(1, 3))
    assert evaluation.compute() == {"mse": 0.0}


def test_a_unit_is_dead_if_it_is_the_same_in_all_batches() -> None:
    first = torch.tensor([[0.0, 1.0, 0.0, 2.0], [0.0, 1.0, 0.0, 3.0]])
    second = torch.tensor([[0.0, 1.5, 0.1, 2.0]])
    assert dead_units([first]) == 3
    assert dead_units([first, second]) == 1
