"""Settings of the convolutional auto-encoder."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fae.data.shape import shape_of
from fae.errors import ConfigError
from fae.models.config import ModelConfig
from fae.runtime.fields import STRICT, Width

if TYPE_CHECKING:
    from fae.models.convolutional.network import Convolutional


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConvolutionalConfig(ModelConfig):
    """Convolutions that halve the image, a code of ``hidden`` numbers, and their mirror image."""

    name: Literal["convolutional"]
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
    """Channels of the convolutions before the code, each of which halves height and width."""

    @property
    def depends_on_threads(self) -> bool:
        return True  # of PyTorch's convolutions, the gradients of the weights do

    def build(self, pixels: int, hidden: int, dropout: float) -> "Convolutional":
        from fae.models.convolutional.network import Convolutional

        return Convolutional(shape_of(pixels), self.channels, hidden, dropout=dropout)

    def check(self, pixels: int, hidden: int) -> None:
        try:
            _, side = shape_of(pixels)
        except ValueError as error:
            raise ConfigError(f"model=convolutional: {error}") from error
        if side < 2 ** len(self.channels):
            raise ConfigError(
                f"model.channels: {len(self.channels)} convolutions, each of which halves the "
                f"image, are too many for images of {side} x {side} pixels"
            )
