"""How well images are reconstructed, and by how many of the hidden units."""

import math
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, stack

from fae.models.layers.loss import mean_square

METRICS: dict[str, Callable[[Tensor], Tensor]] = {"mse": mean_square}
"""Of residuals (batch, pixels), reconstructions minus images: a mean over images and pixels, of
the same bits whatever the number of threads."""


class Evaluation:
    """The metrics of one pass over a split, batch by batch."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._values: dict[str, list[Tensor]] = {name: [] for name in METRICS}
        self._sizes: list[int] = []

    def update(self, residuals: Tensor) -> None:
        """Take in a batch of residuals, (batch, pixels)."""
        self._sizes.append(len(residuals))
        for name, metric in METRICS.items():
            self._values[name].append(metric(residuals))

    def compute(self) -> dict[str, float]:
        """Each metric's mean over all images."""
        return {
            name: weighted_mean(stack(values), self._sizes) for name, values in self._values.items()
        }


def weighted_mean(values: Tensor, weights: Sequence[int]) -> float:
    """The mean of values (n,) with as many weights, rounded once."""
    products = (value * weight for value, weight in zip(values.tolist(), weights, strict=True))
    return math.fsum(products) / sum(weights)


def dead_units(codes: Iterable[Tensor]) -> int:
    """Hidden units whose output is the same for every image.

    Args:
        codes: batches of the hidden layer's outputs, (batch, hidden) each; not empty.
    """
    lows, highs = zip(*((batch.amin(0), batch.amax(0)) for batch in codes), strict=True)
    return int((stack(lows).amin(0) == stack(highs).amax(0)).sum())


def mse_per_image(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image over its pixels: (batch, pixels) to (batch,)."""
    return (reconstructions - images).square_().mean(dim=1)
