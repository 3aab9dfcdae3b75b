"""The auto-encoder with tied weights (Vincent et al. 2010, *Stacked denoising autoencoders*)."""

import torch
from torch import Tensor, nn

from fae.models.layers.dropout import Dropout
from fae.models.layers.linear import Linear
from fae.models.layers.loss import reconstruction_error, residuals
from fae.models.network import Network


class Tied(Network):
    """inputs - hidden - inputs, where the output layer's weights are the input layer's, transposed.

    The hidden units are rectified, as those of the network with one hidden layer, of whose weights
    it has half.

    Args:
        inputs: pixels of an image.
        hidden: units of the hidden layer (the size of a code).
        dropout: probability with which a hidden unit is dropped in training, [0, 1).
    """

    def __init__(self, inputs: int, hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.encoder = Linear(inputs, hidden)
        self.dropout = Dropout(dropout)
        self.bias = nn.Parameter(torch.zeros(inputs))

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, inputs) in [0, 1]."""
        return nn.functional.relu(self.encoder(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, inputs) from codes (batch, hidden); they may leave [0, 1]."""
        return nn.functional.linear(codes, self.encoder.weight.T, self.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, inputs) of images (batch, inputs) in [0, 1]."""
        return self.decode(self.dropout(self.encode(images)))

    def error(self, images: Tensor) -> Tensor:
        return self.error_given(images, images)

    def error_given(self, inputs: Tensor, images: Tensor) -> Tensor:
        """The mean squared error where the network sees other inputs than the images, a scalar."""
        codes = self.dropout(self.encode(inputs))
        return reconstruction_error(codes, self.encoder.weight.T, self.bias, images)

    def residuals(self, images: Tensor) -> Tensor:
        return residuals(self.encode(images), self.encoder.weight.T, self.bias, images)
