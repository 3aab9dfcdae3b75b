"""Reconstructions by principal components, to be looked at."""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fae.data.config import DataConfig
from fae.data.images import DataSet, split_at_random
from fae.data.pca import principal_components
from fae.runtime import files


def pca_reconstructions(
    data_set: DataSet,
    config: DataConfig,
    images: NDArray[np.float32],
    counts: Sequence[int],
    cache: Path,
) -> dict[int, NDArray[np.float32]]:
    """Images as principal components reconstruct them, by the number of components.

    The components are fitted to the training images, as those of ``pca_errors``.

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        images: (images, pixels), in [0, 1].
        counts: numbers of components.
        cache: folder in which the components are cached by data digest and split.
    """
    fitted = _fitted(data_set, config, cache)
    mean, components = fitted[0], fitted[1:]
    codes = (images - mean) @ components.T
    return {n: mean + codes[:, :n] @ components[:n] for n in counts}


def _fitted(data_set: DataSet, config: DataConfig, cache: Path) -> NDArray[np.float32]:
    """The mean image, and below it the components, (1 + pixels, pixels)."""
    split = f"{config.train}-{config.val}-{config.split_seed}"
    path = cache / f"components-{data_set.digest}-{split}.npy"
    with suppress(OSError, ValueError, EOFError):  # absent or damaged
        return np.asarray(np.load(path), dtype=np.float32)
    train, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    mean, components = principal_components(train)
    fitted = np.vstack([mean.numpy(), components.T.numpy()]).astype(np.float32)
    content = io.BytesIO()
    np.save(content, fitted)
    with suppress(OSError):  # works without the cache, only slower
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content.getvalue())
    return fitted
