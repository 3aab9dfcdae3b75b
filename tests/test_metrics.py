"""Errors with exact values."""

import numpy as np
import pytest
import torch

from fae.metrics import evaluation_metrics, mse_per_image


def test_identical_images_have_error_0() -> None:
    images = torch.rand(3, 4)
    assert mse_per_image(images, images).tolist() == [0.0, 0.0, 0.0]
    metrics = evaluation_metrics("val")
    metrics.update(images, images)
    assert metrics.compute() == {"val/mse": 0.0}


def test_a_constant_offset_has_its_square_as_error() -> None:
    images = torch.zeros(2, 4)
    offset = torch.tensor([[0.5] * 4, [0.25] * 4])
    assert mse_per_image(offset, images).tolist() == [0.25, 0.0625]


def test_batches_of_any_size_give_the_mean_over_all_pixels() -> None:
    random = np.random.default_rng(0)
    ours, images = random.random((2, 7, 5)).astype(np.float32)
    metrics = evaluation_metrics("train")
    for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
        metrics.update(torch.from_numpy(ours[part]), torch.from_numpy(images[part]))
    expected = np.mean((ours.astype(np.float64) - images) ** 2)
    assert metrics.compute()["train/mse"].item() == pytest.approx(expected, rel=1e-6)
