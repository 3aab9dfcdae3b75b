"""The interface of networks, used by training and reports."""

from torch import Tensor, nn

from fae.models.layers.loss import mean_squared_error


class Network(nn.Module):
    """An auto-encoder; its settings are a ``ModelConfig``.

    Subclasses must define ``encode`` and ``forward``. The other methods follow from these, and may
    be overridden by faster ones. Images are (batch, pixels), float32 in [0, 1]. Random numbers, if
    any, must be drawn from torch's global generator, which is seeded before each step.
    """

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, pixels)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, pixels) of images (batch, pixels); they may leave [0, 1]."""
        raise NotImplementedError

    def error(self, images: Tensor) -> Tensor:
        """The training loss: the mean squared error over images and pixels, a scalar."""
        return mean_squared_error(self(images), images)

    def residuals(self, images: Tensor) -> Tensor:
        """Reconstructions minus images, (batch, pixels), for evaluation; no gradients."""
        reconstructions: Tensor = self(images)
        return reconstructions - images
