"""Principal component analysis in double precision: the optimum of linear auto-encoders."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fae.data.config import DataConfig
from fae.data.images import DataSet, Images, split_at_random
from fae.runtime.threads import one_thread

CHUNK_SIZE = 500
"""Images per chunk; all images in double precision would dominate fae's peak memory."""
ROUNDING = 1e-12
"""Errors below this share of the mean image's error are rounding errors, and set to 0."""


def principal_components(images: Images) -> tuple[Tensor, Tensor]:
    """The mean image (pixels,), and the components as columns (pixels, pixels).

    Components are in the order of decreasing variance.
    """
    pixels = images.pixels.shape[1]
    total, products = torch.zeros(pixels).double(), torch.zeros(pixels, pixels).double()
    for part in chunks(images):
        total += part.sum(0)
        products += part.T @ part
    mean = total / len(images)
    covariance = products / len(images) - torch.outer(mean, mean)
    with one_thread():  # the bits depend on the number of threads
        return mean, torch.linalg.eigh(covariance).eigenvectors.flip(1)


def chunks(images: Images) -> Iterator[Tensor]:
    """The images in chunks, (up to ``CHUNK_SIZE``, pixels), double precision in [0, 1]."""
    return (pixels.double() / 255 for pixels in images.pixels.split(CHUNK_SIZE))


def pca_errors(data_set: DataSet, config: DataConfig, cache: Path) -> NDArray[np.float64]:
    """Mean squared test error of PCA with 0, 1, ..., all components, (1 + pixels,).

    Fitted to the training images. With 0 components it reconstructs the mean image. No linear
    auto-encoder with n hidden units has a lower error on the images it was fitted to than PCA with
    n components (Baldi and Hornik 1989, *Neural networks and principal component analysis*).

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        cache: folder in which the errors are cached by data digest and split.
    """
    name = f"pca-{data_set.digest}-{config.train}-{config.val}-{config.split_seed}.npy"
    with suppress(OSError, ValueError, EOFError):  # absent or damaged
        return np.asarray(np.load(cache / name), dtype=np.float64)
    train, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    errors = _fit(train, data_set.test())
    with suppress(OSError):  # works without the cache, only slower
        _write(errors, cache / name)
    return errors


def _fit(train: Images, test: Images) -> NDArray[np.float64]:
    mean, components = principal_components(train)
    unexplained, explained = torch.zeros(1).double(), torch.zeros(len(mean)).double()
    for images in chunks(test):
        unexplained += (images - mean).square().sum()
        explained += ((images - mean) @ components).square().sum(0)
    errors = torch.cat([unexplained, unexplained - explained.cumsum(0)]) / test.pixels.numel()
    return np.where(errors > ROUNDING * errors[0], errors, 0.0)


def _write(errors: NDArray[np.float64], path: Path) -> None:
    """Write the file atomically, since two reports may write it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        np.save(Path(scratch, path.name), errors)
        os.replace(Path(scratch, path.name), path)
