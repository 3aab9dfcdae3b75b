"""The metrics that are computed and tracked for every split."""

from collections.abc import Callable

from torch import Tensor

from fae.models.layers.loss import mean_square

METRICS: dict[str, Callable[[Tensor], Tensor]] = {"mse": mean_square}
"""Functions of residuals (batch, pixels), reconstructions minus images. Each is a mean over images
and pixels, whose bits must not depend on the number of threads."""
