"""A network whose codes are known, and what is found inside it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from records import record
from torch import Tensor

from fae.analysis.exploration import Inputs
from fae.analysis.probe import Labels
from fae.data.images import Images
from fae.models.network import Network
from fae.runs.stored import TrainedRun


class Known(Network):
    """Its codes are the first pixels of an image, its images these pixels and then zeros."""

    def __init__(self, hidden: int, pixels: int = 4) -> None:
        super().__init__()
        self.hidden, self.pixels = hidden, pixels

    def encode(self, images: Tensor) -> Tensor:
        return images[:, : self.hidden]

    def decode(self, codes: Tensor) -> Tensor:
        return torch.nn.functional.pad(codes, (0, self.pixels - self.hidden))

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


def run_of(network: Network, hidden: int = 2) -> TrainedRun:
    """A run that stored this network."""
    run = record(hidden, 0, 0.04, data="synthetic")
    vars(run)["network"] = network
    return run


def images(pixels: Sequence[Sequence[int]], labels: Sequence[int]) -> Images:
    return Images(torch.tensor(pixels, dtype=torch.uint8), torch.tensor(labels))


CLASSES = ("<b>dark</b>", "bright")


def inputs(classes: tuple[str, ...] = CLASSES, count: int = 12) -> Inputs:
    """Images of four pixels, of which the first tells the class, and the second nothing."""
    labels = [i % len(classes) for i in range(count)]
    shown = images([[255 * label, i % 250, 0, 255] for i, label in enumerate(labels)], labels)
    of: NDArray[np.int64] = shown.labels.numpy()
    linear = np.array([[i % 5] for i in range(count)], np.float32)
    known = Labels(of, of, 0) if len(classes) > 1 else None
    every = np.arange(count)
    return Inputs(classes, shown, shown, every, known, (linear, linear) if known else None)
