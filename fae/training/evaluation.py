"""One pass over a split: each metric over all its images, and the number of dead hidden units."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor, stack

from fae.training.metrics import METRICS


class Evaluation:
    """Accumulates the metrics of one pass over a split."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._values: dict[str, list[Tensor]] = {name: [] for name in METRICS}
        self._sizes: list[int] = []

    def update(self, residuals: Tensor) -> None:
        """Add a batch of residuals, (batch, pixels)."""
        self._sizes.append(len(residuals))
        for name, metric in METRICS.items():
            self._values[name].append(metric(residuals))

    def compute(self) -> dict[str, float]:
        """Each metric's mean over all images."""
        return {
            name: weighted_mean(stack(values), self._sizes) for name, values in self._values.items()
        }


def weighted_mean(values: Tensor, weights: Sequence[int]) -> float:
    """Weighted mean of values (n,) with n weights, rounded once."""
    products = (value * weight for value, weight in zip(values.tolist(), weights, strict=True))
    return math.fsum(products) / sum(weights)


def dead_units(codes: Iterable[Tensor]) -> int:
    """Number of hidden units whose output is the same for all images.

    Args:
        codes: batches of the hidden layer's outputs, (batch, hidden) each; not empty.
    """
    lows, highs = zip(*((batch.amin(0), batch.amax(0)) for batch in codes), strict=True)
    return int((stack(lows).amin(0) == stack(highs).amax(0)).sum())


def mse_per_image(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image over its pixels: (batch, pixels) to (batch,)."""
    return (reconstructions - images).square_().mean(dim=1)
