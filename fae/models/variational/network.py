"""The variational auto-encoder (Kingma and Welling 2014, *Auto-encoding variational Bayes*)."""

import torch
from torch import Tensor, nn

from fae.models.layers.dropout import Dropout
from fae.models.layers.linear import Linear
from fae.models.layers.loss import mean_squared_error
from fae.models.network import Network


class Variational(Network):
    """inputs - width - hidden - width - inputs; a code is drawn from a normal distribution.

    The encoder gives each image the mean and the variance of its code's distribution. In training a
    code is drawn from it; otherwise the code is the mean.

    Args:
        inputs: pixels of an image.
        width: units of the layers on both sides of the code.
        hidden: size of a code.
        dropout: probability with which a unit of the code is dropped in training, [0, 1).
        beta: weight of the divergence in ``error``.
    """

    def __init__(
        self, inputs: int, width: int, hidden: int, *, dropout: float, beta: float
    ) -> None:
        super().__init__()
        self.before = nn.Sequential(Linear(inputs, width), nn.GELU())
        self.encoder = Linear(width, hidden)
        self.log_variance = Linear(width, hidden)
        self.dropout = Dropout(dropout)
        self.after = nn.Sequential(Linear(hidden, width), nn.GELU())
        self.decoder = Linear(width, inputs)
        self.beta = beta

    def encode(self, images: Tensor) -> Tensor:
        """Means of the codes, (batch, hidden), of images (batch, inputs) in [0, 1]."""
        means: Tensor = self.encoder(self.before(images))
        return means

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, inputs) from codes (batch, hidden); they may leave [0, 1]."""
        images: Tensor = self.decoder(self.after(codes))
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, inputs) from the means of the codes of images."""
        return self.decode(self.encode(images))

    def error(self, images: Tensor) -> Tensor:
        return self.error_given(images, images)

    def error_given(self, inputs: Tensor, images: Tensor) -> Tensor:
        """The negative evidence lower bound, scaled such that the squared error has weight 1.

        The mean squared error over images and pixels, plus ``beta`` times the mean divergence of a
        code's distribution from the standard normal one, per pixel; a scalar.

        Args:
            inputs: what the encoder sees, (batch, inputs).
            images: what is to be reconstructed, (batch, inputs).
        """
        features = self.before(inputs)
        means, log_variances = self.encoder(features), self.log_variance(features)
        drawn = means + (log_variances / 2).exp() * torch.randn_like(means)
        divergence = (means.square() + log_variances.exp() - 1 - log_variances).sum() / 2
        squared = mean_squared_error(self.decode(self.dropout(drawn)), images)
        bound: Tensor = squared + self.beta * divergence / images.numel()
        return bound
