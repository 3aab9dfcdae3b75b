"""The auto-encoder: a plain module that needs no trainer."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from fae.dropout import Dropout
from fae.linear import Linear
from fae.loss import reconstruction_error, residuals

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "clamp": partial(nn.Hardtanh, 0.0, 1.0),
    "identity": nn.Identity,
}


class AutoEncoder(nn.Module):
    """inputs - hidden - inputs, with dropout on the hidden layer, as in the paper.

    Weights and biases start as PyTorch draws them: uniform in +-1/sqrt(fan in).

    Args:
        inputs: pixels of an image.
        hidden: units of the hidden layer, the paper's n.
        dropout: probability with which a hidden unit is dropped in training, [0, 1).
        hidden_activation, output_activation: names in ``ACTIVATIONS``.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        dropout: float = 0.0,
        hidden_activation: str = "relu",
        output_activation: str = "identity",
    ) -> None:
        super().__init__()
        self.encoder = Linear(inputs, hidden)
        self.hidden_activation = ACTIVATIONS[hidden_activation]()
        self.dropout = Dropout(dropout)
        self.decoder = Linear(hidden, inputs)
        self.output_activation = ACTIVATIONS[output_activation]()

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, inputs) in [0, 1]."""
        codes: Tensor = self.hidden_activation(self.encoder(images))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, inputs) of codes (batch, hidden); a linear output may leave [0, 1]."""
        images: Tensor = self.output_activation(self.decoder(codes))
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, inputs) of images (batch, inputs) in [0, 1]."""
        return self.decode(self.dropout(self.encode(images)))

    def error(self, images: Tensor) -> Tensor:
        """Mean squared error of the reconstructions of images (batch, inputs), a scalar."""
        codes = self.dropout(self.encode(images))
        if self._linear:
            return reconstruction_error(codes, self.decoder.weight, self.decoder.bias, images)
        return mse_loss(self.decode(codes), images)

    def residuals(self, images: Tensor) -> Tensor:
        """Reconstructions minus images, (batch, inputs), for evaluation: without gradients."""
        codes = self.dropout(self.encode(images))
        if self._linear:
            return residuals(codes, self.decoder.weight, self.decoder.bias, images)
        return self.decode(codes) - images

    @property
    def _linear(self) -> bool:
        return isinstance(self.output_activation, nn.Identity)
