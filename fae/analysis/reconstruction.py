"""What a trained network makes of image files: originals, reconstructions, where they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from fae.data.folder.picture import Fit
from fae.data.folder.streaming import ImageFiles
from fae.data.shape import shape_of
from fae.drawing.pictures import Floats
from fae.models.network import Network
from fae.runs.stored import TrainedRun
from fae.training.evaluation import mse_per_image

BATCH = 64
"""Images that go through the network at a time."""


@dataclass(frozen=True)
class ReconstructedImage:
    """An image file and what a network makes of it.

    Attributes:
        path: of the file.
        original: (pixels,), in [0, 1], as the network sees it.
        reconstruction: (pixels,), as the network gives it; it may leave [0, 1].
        mse: mean squared error over the pixels.
    """

    path: Path
    original: Floats
    reconstruction: Floats
    mse: float


def files_for(run: TrainedRun, paths: list[Path]) -> ImageFiles:
    """Image files as a run's network takes them: of its size and colours, cropped as its own were.

    Raises:
        UnreadableError: its configuration cannot be read.
    """
    channels, side = shape_of(run.config.data.pixels)
    fit: Fit = getattr(run.config.data, "fit", "crop")
    return ImageFiles(paths, side, channels == 3, fit)


def reconstruct(
    network: Network, files: ImageFiles, *, invert: bool
) -> Iterator[ReconstructedImage]:
    """The reconstruction of each file, in order; a batch of them is in memory at a time.

    Args:
        invert: swap black and white before the network sees an image.

    Raises:
        DataError: a file cannot be used.
    """
    images, paths = iter(files), iter(files.paths)
    while batch := list(islice(images, BATCH)):
        pixels = torch.from_numpy(np.stack(batch))
        originals = (255 - pixels if invert else pixels).float().div_(255)
        with torch.inference_mode():
            outputs = network(originals)
            errors = mse_per_image(outputs, originals).tolist()
        named = islice(paths, len(batch))
        for found in zip(named, originals.numpy(), outputs.numpy(), errors, strict=True):
            yield ReconstructedImage(*found)
