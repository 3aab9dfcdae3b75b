"""The best that a linear auto-encoder can do: principal component analysis."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fae.config import FashionMNISTConfig, SyntheticConfig
from fae.sources import Images, Source, split_at_random

ROUNDING = 1e-12
"""An error that is a smaller share of the mean image's is none."""


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
    errors = _fit(_floats(train), _floats(source.test()))
    with suppress(OSError):  # a cache that cannot be written saves no time, that is all
        _write(errors, cache / name)
    return errors


def _fit(train: NDArray[np.float64], test: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    pca = PCA(svd_solver="covariance_eigh").fit(train)
    explained = np.square(pca.transform(test)).mean(axis=0).cumsum()
    total = np.square(test - pca.mean_).mean(axis=0).sum()
    errors = np.concatenate([[total], total - explained]) / test.shape[1]
    return np.where(errors > ROUNDING * errors[0], errors, 0.0)


def _floats(images: Images) -> NDArray[np.float64]:
    return images.as_floats().pixels.double().numpy()


def _write(errors: NDArray[np.float64], path: Path) -> None:
    """All at once, so that two reports at a time do no harm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        np.save(Path(scratch, path.name), errors)
        os.replace(Path(scratch, path.name), path)
