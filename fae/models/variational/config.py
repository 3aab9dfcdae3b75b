"""Settings of the variational auto-encoder."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic.dataclasses import dataclass

from fae.models.config import ModelConfig
from fae.runtime.fields import STRICT, Rate, Width

if TYPE_CHECKING:
    from fae.models.variational.network import Variational


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VariationalConfig(ModelConfig):
    """inputs - width - hidden - width - inputs, whose codes are drawn from distributions."""

    name: Literal["variational"]
    width: Width
    """Units of the layers on both sides of the code."""
    beta: Rate
    """Weight of the Kullback-Leibler divergence of the codes' distributions, per pixel: twice the
    variance that the network assumes of pixels around their reconstruction."""
    normal_codes: ClassVar[bool] = True

    @property
    def loss(self) -> str:
        divergence = "the Kullback-Leibler divergence of the codes' distributions per pixel"
        return f"{super().loss}, and {self.beta:g} times {divergence}"

    def build(self, pixels: int, hidden: int, dropout: float) -> "Variational":
        from fae.models.variational.network import Variational

        return Variational(pixels, self.width, hidden, dropout=dropout, beta=self.beta)
