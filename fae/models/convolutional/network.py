"""The convolutional auto-encoder (Masci et al. 2011, *Stacked convolutional auto-encoders*)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from fae.models.layers.dropout import Dropout
from fae.models.layers.linear import Linear
from fae.models.network import Network


class Convolutional(Network):
    """Convolutions, a linear layer to the code, and the mirror image of both.

    Each convolution, 3 x 3, halves height and width, rounded up; each transposed one, of the same
    size, doubles them again. GELU follows all layers but the code and the output.

    Args:
        shape: channels and side of an image.
        channels: of the convolutions before the code.
        hidden: size of a code.
        dropout: probability with which a unit of the code is dropped in training, [0, 1).
    """

    def __init__(
        self, shape: tuple[int, int], channels: Sequence[int], hidden: int, *, dropout: float
    ) -> None:
        super().__init__()
        count, side = shape
        widths, sides = [count, *channels], [side]
        down: list[nn.Module] = [nn.Unflatten(1, (count, side, side))]
        for before, after in pairwise(widths):
            down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GELU()]
            sides.append((sides[-1] + 1) // 2)
        features = widths[-1] * sides[-1] ** 2
        self.before = nn.Sequential(*down, nn.Flatten())
        self.encoder = Linear(features, hidden)
        self.dropout = Dropout(dropout)
        up: list[nn.Module] = [Linear(hidden, features)]
        up += [nn.Unflatten(1, (widths[-1], sides[-1], sides[-1]))]
        for before, after, larger in zip(widths[:0:-1], widths[-2::-1], sides[-2::-1], strict=True):
            even = int(larger % 2 == 0)
            up += [
                nn.GELU(),
                nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=even),
            ]
        self.decoder = nn.Sequential(*up, nn.Flatten())

    def encode(self, images: Tensor) -> Tensor:
        """Codes (batch, hidden) of images (batch, pixels) in [0, 1]."""
        codes: Tensor = self.encoder(self.before(images))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Images (batch, pixels) from codes (batch, hidden); they may leave [0, 1]."""
        images: Tensor = self.decoder(codes)
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, pixels) of images (batch, pixels) in [0, 1]."""
        return self.decode(self.dropout(self.encode(images)))
