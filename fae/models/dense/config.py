"""Settings of the fully connected networks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.models.config import ModelConfig
from fae.runtime.fields import STRICT, Width

if TYPE_CHECKING:
    from fae.data.images import Images
    from fae.models.dense.network import AutoEncoder
    from fae.models.network import Network

Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "clamp", "identity"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AutoEncoderConfig(ModelConfig):
    """inputs - hidden - inputs; ``hidden`` and ``dropout`` are dials."""

    name: Literal["autoencoder"]
    hidden_activation: Activation
    """Activation of the hidden layer; clamp: to [0, 1], the range of pixels."""
    output_activation: Activation
    """Activation of the output layer; clamp: to [0, 1], the range of pixels."""
    initialisation: Literal["uniform", "pca"]
    """uniform: PyTorch's default; pca: such that the network reconstructs as PCA with ``hidden``
    components does (with gelu and silu only approximately)."""

    def build(self, pixels: int, hidden: int, dropout: float) -> "AutoEncoder":
        from fae.models.dense.network import AutoEncoder

        return AutoEncoder(
            pixels,
            hidden,
            dropout=dropout,
            hidden_activation=self.hidden_activation,
            output_activation=self.output_activation,
        )

    def check(self, pixels: int, hidden: int) -> None:
        if self.initialisation == "pca" and hidden > pixels:
            raise ConfigError(
                f"model.initialisation=pca: hidden={hidden} must be at most the {pixels} pixels "
                "of an image"
            )

    def initialise(self, network: "Network", training: "Callable[[], Images]") -> None:
        from fae.models.dense.initialisation import initialise_as_pca
        from fae.models.dense.network import AutoEncoder

        if self.initialisation == "pca":
            assert isinstance(network, AutoEncoder)
            initialise_as_pca(network, training())

    @model_validator(mode="after")
    def _can_be_pca(self) -> "AutoEncoderConfig":
        if self.initialisation == "pca":
            for key, possible in {
                "hidden_activation": ("relu", "gelu", "silu", "identity"),
                "output_activation": ("clamp", "identity"),
            }.items():
                if getattr(self, key) not in possible:
                    raise ConfigError(
                        f"model.initialisation=pca: needs one of {', '.join(possible)} as "
                        f"model.{key}, not {getattr(self, key)}"
                    )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DeepAutoEncoderConfig(ModelConfig):
    """inputs - widths - hidden - reversed widths - inputs."""

    name: Literal["deep"]
    widths: Annotated[tuple[Width, ...], Field(min_length=1)]
    """Units of the layers between the inputs and the hidden layer."""
    inner_activation: Activation
    """Activation of these layers and of their mirror images; clamp: to [0, 1]."""
    hidden_activation: Activation
    """Activation of the hidden layer; clamp: to [0, 1], the range of pixels."""
    output_activation: Activation
    """Activation of the output layer; clamp: to [0, 1], the range of pixels."""
    initialisation: Literal["uniform"]
    """PyTorch's default."""

    def build(self, pixels: int, hidden: int, dropout: float) -> "AutoEncoder":
        from fae.models.dense.network import AutoEncoder

        return AutoEncoder(
            pixels,
            hidden,
            dropout=dropout,
            hidden_activation=self.hidden_activation,
            output_activation=self.output_activation,
            widths=self.widths,
            inner_activation=self.inner_activation,
        )
