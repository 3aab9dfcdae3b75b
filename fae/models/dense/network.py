"""The fully connected auto-encoder."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from fae.models.dense.one_layer import relu_reconstruction_error
from fae.models.layers.activations import Sigmoid, SiLU
from fae.models.layers.dropout import Dropout
from fae.models.layers.linear import Linear
from fae.models.layers.loss import reconstruction_error, residuals
from fae.models.network import Network

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": SiLU,
    "tanh": nn.Tanh,
    "sigmoid": Sigmoid,
    "clamp": partial(nn.Hardtanh, 0.0, 1.0),
    "identity": nn.Identity,
}


class AutoEncoder(Network):
    """inputs - hidden - inputs, with dropout on the hidden layer, as in the paper.

    With ``widths`` it is deeper: inputs - widths - hidden - reversed widths - inputs.
    Weights and biases have PyTorch's default initialisation: uniform in +-1/sqrt(fan_in).

    Args:
        inputs: pixels of an image.
        hidden: units of the hidden layer (the size of a code), the paper's n.
        dropout: probability with which a hidden unit is dropped in training, [0, 1).
        hidden_activation, output_activation: names in ``ACTIVATIONS``.
        widths: units of the layers between the inputs and the hidden layer.
        inner_activation: activation of these layers and of their mirror images.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        dropout: float = 0.0,
        hidden_activation: str = "relu",
        output_activation: str = "identity",
        widths: Sequence[int] = (),
        inner_activation: str = "gelu",
    ) -> None:
        super().__init__()
        self.before = _layers([inputs, *widths], inner_activation)
        self.encoder = Linear([inputs, *widths][-1], hidden)
        self.hidden_activation = ACTIVATIONS[hidden_activation]()
        self.dropout = Dropout(dropout)
        self.after = _layers([hidden, *reversed(widths)], inner_activation)
        self.decoder = Linear([hidden, *reversed(widths)][-1], inputs)
        self.output_activation = ACTIVATIONS[output_activation]()

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, inputs) in [0, 1]."""
        codes: Tensor = self.hidden_activation(self.encoder(self.before(images)))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, inputs) from codes (batch, hidden); they may leave [0, 1]."""
        images: Tensor = self.output_activation(self.decoder(self.after(codes)))
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, inputs) of images (batch, inputs) in [0, 1]."""
        return self.decode(self.dropout(self.encode(images)))

    def error(self, images: Tensor) -> Tensor:
        if self._is_relu_layer and images.is_cpu and images.dtype == torch.float32:
            return relu_reconstruction_error(images, self.encoder, self.dropout, self.decoder)
        if not self._linear:
            return super().error(images)
        last = self.after(self.dropout(self.encode(images)))
        return reconstruction_error(last, self.decoder.weight, self.decoder.bias, images)

    def residuals(self, images: Tensor) -> Tensor:
        if not self._linear:
            return super().residuals(images)
        last = self.after(self.dropout(self.encode(images)))
        return residuals(last, self.decoder.weight, self.decoder.bias, images)

    @property
    def _is_relu_layer(self) -> bool:
        one = type(self) is AutoEncoder and not len(self.before)
        return one and self._linear and isinstance(self.hidden_activation, nn.ReLU)

    @property
    def _linear(self) -> bool:
        return isinstance(self.output_activation, nn.Identity)


def _layers(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers from each width to the next, each followed by the activation."""
    pairs = ((Linear(*pair), ACTIVATIONS[activation]()) for pair in pairwise(widths))
    return nn.Sequential(*(layer for pair in pairs for layer in pair))
