"""The best that a linear auto-encoder can do: principal component analysis."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fae.config import FashionMNISTConfig, SyntheticConfig
from fae.sources import Images, Source, split_at_random

ROUNDING = 1e-12
"""An error that is a smaller share of the mean image's is none."""

SLICE = 500
"""Images at a time."""


def pca_errors(
    source: Source, config: FashionMNISTConfig | SyntheticConfig, cache: Path
) -> NDArray[np.float64]:
    """Mean squared test error of PCA with 0, 1, ..., all components, (1 + pixels,).

    Fitted to the images that networks are trained on. With 0 components it is the mean image.
    No linear auto-encoder with n hidden units has a lower error on the images that it was
    fitted to (Baldi and Hornik 1989, *Neural networks and principal component analysis*).

    Args:
        config: how ``source`` is split.
        cache: folder that keeps the errors by data digest and split; computed once.
    """
    name = f"pca-{source.digest}-{config.train}-{config.val}-{config.split_seed}.npy"
    with suppress(OSError, ValueError, EOFError):  # absent or damaged
        return np.asarray(np.load(cache / name), dtype=np.float64)
    train, _ = split_at_random(source.training(), config.train, config.val, config.split_seed)
    errors = _fit(train, source.test())
    with suppress(OSError):  # a cache that cannot be written saves no time, that is all
        _write(errors, cache / name)
    return errors


def _fit(train: Images, test: Images) -> NDArray[np.float64]:
    """Slice by slice: all images in double precision would be the most that fae ever holds."""
    pixels = train.pixels.shape[1]
    total, products = torch.zeros(pixels).double(), torch.zeros(pixels, pixels).double()
    for images in _slices(train):
        total += images.sum(0)
        products += images.T @ images
    mean = total / len(train)
    covariance = products / len(train) - torch.outer(mean, mean)
    components = torch.linalg.eigh(covariance).eigenvectors.flip(1)
    unexplained, explained = torch.zeros(1).double(), torch.zeros(pixels).double()
    for images in _slices(test):
        unexplained += (images - mean).square().sum()
        explained += ((images - mean) @ components).square().sum(0)
    errors = torch.cat([unexplained, unexplained - explained.cumsum(0)]) / test.pixels.numel()
    return np.where(errors > ROUNDING * errors[0], errors, 0.0)


def _slices(images: Images) -> Iterator[Tensor]:
    return (pixels.double() / 255 for pixels in images.pixels.split(SLICE))


def _write(errors: NDArray[np.float64], path: Path) -> None:
    """All at once, so that two reports at a time do no harm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        np.save(Path(scratch, path.name), errors)
        os.replace(Path(scratch, path.name), path)
