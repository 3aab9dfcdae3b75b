"""Principal components of images, in double precision."""

from collections.abc import Iterator

import torch
from torch import Tensor

from fae.data.dataset import Images
from fae.runtime.threads import one_thread

SLICE = 500
"""Images at a time: all of them in double precision would be the most that fae ever holds."""


def principal_components(images: Images) -> tuple[Tensor, Tensor]:
    """The mean image (pixels,), and the components in columns (pixels, pixels).

    The component along which the images vary most is the first.
    """
    pixels = images.pixels.shape[1]
    total, products = torch.zeros(pixels).double(), torch.zeros(pixels, pixels).double()
    for part in slices(images):
        total += part.sum(0)
        products += part.T @ part
    mean = total / len(images)
    covariance = products / len(images) - torch.outer(mean, mean)
    with one_thread():  # in several, other bits
        return mean, torch.linalg.eigh(covariance).eigenvectors.flip(1)


def slices(images: Images) -> Iterator[Tensor]:
    """Some images after the other, (some, pixels) in [0, 1]."""
    return (pixels.double() / 255 for pixels in images.pixels.split(SLICE))
