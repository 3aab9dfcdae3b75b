"""Principal component analysis, the best that a linear auto-encoder can do; in double precision."""

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
"""Images at a time: all of them in double precision would be the most that fae ever holds."""
ROUNDING = 1e-12
"""An error that is a smaller share of the mean image's is none."""


def principal_components(images: Images) -> tuple[Tensor, Tensor]:
    """The mean image (pixels,), and the components in columns (pixels, pixels).

    The component along which the images vary most is the first.
    """
    pixels = images.pixels.shape[1]
    total, products = torch.zeros(pixels).double(), torch.zeros(pixels, pixels).double()
    for part in chunks(images):
        total += part.sum(0)
        products += part.T @ part
    mean = total / len(images)
    covariance = products / len(images) - torch.outer(mean, mean)
    with one_thread():  # in several, other bits
        return mean, torch.linalg.eigh(covariance).eigenvectors.flip(1)


def chunks(images: Images) -> Iterator[Tensor]:
    """Some images after the other, (some, pixels) in [0, 1]."""
    return (pixels.double() / 255 for pixels in images.pixels.split(CHUNK_SIZE))


def pca_errors(data_set: DataSet, config: DataConfig, cache: Path) -> NDArray[np.float64]:
    """Mean squared test error of PCA with 0, 1, ..., all components, (1 + pixels,).

    Fitted to the images that networks are trained on. With 0 components it is the mean image.
    No linear auto-encoder with n hidden units has a lower error on the images that it was
    fitted to (Baldi and Hornik 1989, *Neural networks and principal component analysis*).

    Args:
        config: how the data set is split.
        cache: folder that keeps the errors by data digest and split; computed once.
    """
    name = f"pca-{data_set.digest}-{config.train}-{config.val}-{config.split_seed}.npy"
    with suppress(OSError, ValueError, EOFError):  # absent or damaged
        return np.asarray(np.load(cache / name), dtype=np.float64)
    train, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    errors = _fit(train, data_set.test())
    with suppress(OSError):  # a cache that cannot be written saves no time, that is all
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
    """All at once, so that two reports at a time do no harm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        np.save(Path(scratch, path.name), errors)
        os.replace(Path(scratch, path.name), path)
