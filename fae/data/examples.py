"""Which images of a data set are shown, where there is room for a few."""

import torch
from torch import Tensor

from fae.data.images import Images

SHOWN = 10
"""Images that are shown at most."""


def examples(images: Images) -> Tensor:
    """Indexes of at most ``SHOWN`` images, in the order of their classes.

    Shown are the first image of each of the first ten classes, or the first few of each where there
    are five classes or fewer.
    """
    classes = images.labels.unique()[:SHOWN]
    each = max(1, SHOWN // len(classes))
    return torch.cat([(images.labels == label).nonzero()[:each, 0] for label in classes])
