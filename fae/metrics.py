"""How well images are reconstructed, and by how many of the hidden units."""

from collections.abc import Callable, Iterable

from torch import Tensor, stack

from fae.loss import mean_square

METRICS: dict[str, Callable[[Tensor], Tensor]] = {"mse": mean_square}
"""Of residuals (batch, pixels), reconstructions minus images: a mean over images and pixels."""


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
        sizes = Tensor(self._sizes).double()
        return {
            name: float((stack(values).double().cpu() @ sizes) / sizes.sum())
            for name, values in self._values.items()
        }


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
