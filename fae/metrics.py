"""How well images are reconstructed."""

from torch import Tensor
from torchmetrics import MeanSquaredError, MetricCollection


def evaluation_metrics(split: str) -> MetricCollection:
    """The metrics of one pass over a split, ``<split>/mse`` and any that is added here.

    Each is updated with (reconstructions, images), both (batch, pixels), and is a
    mean over all images and pixels of the pass.
    """
    return MetricCollection({"mse": MeanSquaredError()}, prefix=f"{split}/")


def mse_per_image(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image over its pixels: (batch, pixels) to (batch,)."""
    return (reconstructions - images).square().mean(dim=1)
