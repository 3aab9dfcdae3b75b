"""Images that a trained network makes of codes that no image has: between two images, and drawn."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from fae.data.examples import examples
from fae.data.images import Images
from fae.drawing.pictures import Floats
from fae.runs.stored import TrainedRun

STEPS = 9
"""Codes along the line between two, these included."""
DRAWN = 20
"""Codes that are drawn at random."""
SEED = 0
"""Of the numbers that are drawn."""


@runtime_checkable
class Decoder(Protocol):
    """A network that also makes images of codes, as all of fae's own do."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, pixels)."""

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, pixels) from codes (batch, hidden); they may leave [0, 1]."""


@dataclass(frozen=True)
class Interpolation:
    """Two test images, and what a network makes of the codes on the line between theirs.

    Attributes:
        ends: both, (2, pixels), in [0, 1].
        shows: their classes.
        between: (``STEPS``, pixels), the first and the last being the reconstructions of both.
    """

    ends: Floats
    shows: tuple[str, str]
    between: Floats

    @property
    def title(self) -> str:
        """``Bag to Shirt``."""
        return " to ".join(self.shows)

    @property
    def strip(self) -> Floats:
        """Both images, and between them what the network makes, (``STEPS`` + 2, pixels)."""
        return np.vstack([self.ends[:1], self.between, self.ends[1:]])


def interpolations(
    run: TrainedRun, images: Images, classes: tuple[str, ...]
) -> list[Interpolation]:
    """Up to five pairs of test images; of different classes, where there are several.

    Args:
        images: uint8.
        classes: their names, by label.

    Returns:
        No pair where the network has no ``decode``, or there is a single image.
    """
    network = run.network
    if not isinstance(network, Decoder):
        return []
    chosen = examples(images)
    half = len(chosen) // 2
    pairs = torch.stack([chosen[:half], chosen[half : 2 * half]], dim=1)
    return [_interpolation(network, images[pair].as_floats(), classes) for pair in pairs]


@torch.inference_mode()
def _interpolation(network: Decoder, pair: Images, classes: tuple[str, ...]) -> Interpolation:
    codes, shares = network.encode(pair.pixels), torch.linspace(0, 1, STEPS).unsqueeze(1)
    between = network.decode((1 - shares) * codes[0] + shares * codes[1])
    first, last = (classes[label] for label in pair.labels.tolist())
    return Interpolation(pair.pixels.numpy(), (first, last), between.numpy())


@torch.inference_mode()
def samples(run: TrainedRun) -> Floats:
    """Images of codes that are drawn from the standard normal distribution, (images, pixels).

    No images where training did not draw codes towards it, so that it says nothing about them.
    """
    config, network = run.config, run.network
    if not (config.model.normal_codes and isinstance(network, Decoder)):
        return np.empty((0, config.data.pixels), np.float32)
    random = torch.Generator().manual_seed(SEED)
    codes = torch.randn(DRAWN, config.hidden, generator=random)
    return network.decode(codes).numpy()
