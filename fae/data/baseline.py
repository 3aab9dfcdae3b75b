"""The best that a linear auto-encoder can do: principal component analysis."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fae.config import DataConfig
from fae.data.dataset import Images, Source, split_at_random
from fae.data.pca import principal_components, slices

ROUNDING = 1e-12
"""An error that is a smaller share of the mean image's is none."""


def pca_errors(source: Source, config: DataConfig, cache: Path) -> NDArray[np.float64]:
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
    mean, components = principal_components(train)
    unexplained, explained = torch.zeros(1).double(), torch.zeros(len(mean)).double()
    for images in slices(test):
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
