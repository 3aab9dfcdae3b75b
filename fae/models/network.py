"""What training and reports ask of a network."""

from torch import Tensor, nn

from fae.models.layers.loss import mean_squared_error


class Network(nn.Module):
    """An auto-encoder; its settings are a ``ModelConfig``.

    A network of your own has ``encode`` and ``forward``. The rest follows from these, and may be
    overridden where it can be computed more quickly. Images are (batch, pixels), float32 in
    [0, 1]. Its random numbers, if any, are drawn from torch's own generator, which is seeded
    before each step.
    """

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, pixels)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, pixels) of images (batch, pixels); they may leave [0, 1]."""
        raise NotImplementedError

    def error(self, images: Tensor) -> Tensor:
        """What training minimises: the mean squared error over images and pixels, a scalar."""
        return mean_squared_error(self(images), images)

    def residuals(self, images: Tensor) -> Tensor:
        """Reconstructions minus images, (batch, pixels), for evaluation: without gradients."""
        reconstructions: Tensor = self(images)
        return reconstructions - images
