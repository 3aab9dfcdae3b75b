"""Incremental PCA, for images of so many values that their covariance matrix is too large.

It sees the images part by part, and keeps only as many components as are asked for. These are close
to those of PCA, but not the same (Ross, Lim, Lin and Yang 2008, *Incremental learning for robust
visual tracking*).
"""

import numpy as np
from numpy.typing import NDArray

from fae.data.images import Images
from fae.data.pca import CHUNK_SIZE

EXACT = 4096
"""Values of an image up to which PCA is exact."""
VALUES_AT_ONCE = 2**23
"""Of test images, 64 MB in double precision."""


def is_exact(pixels: int) -> bool:
    """Whether PCA of images of so many values is exact, not incremental."""
    return pixels <= EXACT


def fit_incrementally(images: Images, components: int) -> NDArray[np.float32]:
    """The mean image, and below it the leading components, (1 + components, pixels).

    Args:
        components: how many; no more than there are images or pixels.
    """
    from sklearn.decomposition import IncrementalPCA
    from sklearn.utils import gen_batches

    count = min(components, *images.pixels.shape)
    pca = IncrementalPCA(count)
    for part in gen_batches(len(images), max(CHUNK_SIZE, count), min_batch_size=count):
        pca.partial_fit(images.pixels[part].float().div(255).numpy())
    return np.vstack([pca.mean_, pca.components_]).astype(np.float32)


def errors_by_components(fitted: NDArray[np.float32], test: Images) -> NDArray[np.float64]:
    """Mean squared error with 0, 1, ..., all components, (1 + components,).

    Args:
        fitted: the mean image, and below it the components, (1 + components, pixels).
    """
    mean, components = fitted[0].astype(float), fitted[1:].T.astype(float)
    unexplained, explained = 0.0, np.zeros(components.shape[1])
    for part in test.pixels.split(max(1, VALUES_AT_ONCE // len(mean))):
        centred = part.numpy() / 255 - mean
        unexplained += np.square(centred).sum()
        explained += np.square(centred @ components).sum(0)
    left = unexplained - np.concatenate([[0.0], explained.cumsum()])
    return left.clip(0) / test.pixels.numel()
