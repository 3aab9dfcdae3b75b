"""Settings of the network with tied weights."""

from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass

from fae.models.config import ModelConfig
from fae.runtime.fields import STRICT

if TYPE_CHECKING:
    from fae.models.tied.network import Tied


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TiedConfig(ModelConfig):
    """inputs - hidden - inputs, with the same weights on both sides."""

    name: Literal["tied"]

    def build(self, pixels: int, hidden: int, dropout: float) -> "Tied":
        from fae.models.tied.network import Tied

        return Tied(pixels, hidden, dropout=dropout)
