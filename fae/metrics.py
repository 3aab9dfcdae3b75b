"""How well images are reconstructed, and by how many of the hidden units."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor, stack

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


def evaluation_metrics(split: str) -> "MetricCollection":
    """The metrics of one pass over a split, ``<split>/mse`` and any that is added here.

    Each is updated with (reconstructions, images), both (batch, pixels), and is a
    mean over all images and pixels of the pass.
    """
    from torchmetrics import MeanSquaredError, MetricCollection

    return MetricCollection({"mse": MeanSquaredError()}, prefix=f"{split}/")


def dead_units(codes: Iterable[Tensor]) -> int:
    """Hidden units whose output is the same for every image.

    Args:
        codes: batches of the hidden layer's outputs, (batch, hidden) each; not empty.
    """
    lows, highs = zip(*((batch.amin(0), batch.amax(0)) for batch in codes), strict=True)
    return int((stack(lows).amin(0) == stack(highs).amax(0)).sum())


def mse_per_image(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image over its pixels: (batch, pixels) to (batch,)."""
    return (reconstructions - images).square().mean(dim=1)
