"""Principal components of the training images: the errors of reconstructions by them, and some
reconstructions to be looked at. Exact up to a size of images, incremental above; see
``fae.data.incremental_pca``.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fae.data.config import DataConfig
from fae.data.datamodule import EvalBatches
from fae.data.images import DataSet, Images, split_at_random
from fae.data.incremental_pca import errors_by_components, fit_incrementally, is_exact
from fae.data.pca import pca_errors, principal_components
from fae.runtime import files


def linear_errors(
    data_set: DataSet, config: DataConfig, components: int, cache: Path
) -> NDArray[np.float64]:
    """Mean squared test error of PCA with 0, 1, ... components, (1 + at least ``components``,).

    There are fewer where there are fewer components. With 0 it reconstructs the mean image.

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        cache: folder in which results are cached by data digest and split.
    """
    if is_exact(config.pixels):
        return pca_errors(data_set, config, cache)
    return errors_by_components(_fitted(data_set, config, components, cache), data_set.test())


def pca_reconstructions(
    data_set: DataSet,
    config: DataConfig,
    images: NDArray[np.float32],
    counts: Sequence[int],
    cache: Path,
) -> dict[int, NDArray[np.float32]]:
    """Images as principal components reconstruct them, by the number of components.

    The components are fitted to the training images, as those of ``linear_errors``.

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        images: (images, pixels), in [0, 1].
        counts: numbers of components.
        cache: folder in which the components are cached by data digest and split.
    """
    fitted = _fitted(data_set, config, max(counts), cache)
    mean, components = fitted[0], fitted[1:]
    codes = (images - mean) @ components.T
    return {n: mean + codes[:, :n] @ components[:n] for n in counts}


def pca_codes(
    data_set: DataSet, config: DataConfig, images: Sequence[Images], components: int, cache: Path
) -> list[NDArray[np.float32]]:
    """Coordinates of images along the leading components of the training images.

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        images: several sets, uint8.
        components: how many; where there are fewer, all.
        cache: folder in which the components are cached by data digest and split.

    Returns:
        Those of each set, (images, components).
    """
    fitted = _fitted(data_set, config, components, cache)
    mean, leading = fitted[0], fitted[1 : components + 1].T
    return [
        np.concatenate([(part.numpy() - mean) @ leading for part in EvalBatches(several)])
        for several in images
    ]


def _fitted(
    data_set: DataSet, config: DataConfig, components: int, cache: Path
) -> NDArray[np.float32]:
    """The mean image, and below it the components, (1 + components, pixels); all, if exact."""
    exact = is_exact(config.pixels)
    split = f"{config.train}-{config.val}-{config.split_seed}"
    count = "" if exact else f"-{components}"
    path = cache / f"components-{data_set.digest}-{split}{count}.npy"
    with suppress(OSError, ValueError, EOFError):  # absent or damaged
        return np.asarray(np.load(path), dtype=np.float32)
    train, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    if exact:
        mean, found = principal_components(train)
        fitted = np.vstack([mean.numpy(), found.T.numpy()]).astype(np.float32)
    else:
        fitted = fit_incrementally(train, components)
    content = io.BytesIO()
    np.save(content, fitted)
    with suppress(OSError):  # works without the cache, only slower
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content.getvalue())
    return fitted
