"""Settings of the synthetic images."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from fae.data.config import MAX_PIXELS, DataConfig
from fae.errors import ConfigError
from fae.runtime.fields import STRICT

if TYPE_CHECKING:
    from fae.data.synthetic.images import Synthetic


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SyntheticConfig(DataConfig):
    """Small generated images; ``split_seed`` is also the seed of the images."""

    name: Literal["synthetic"]
    side: Annotated[int, Field(strict=True, ge=1, le=128)]
    """Height and width of an image, in pixels."""
    test: Annotated[int, Field(strict=True, ge=10)]
    """Number of test images; at least ten, one of each class."""

    @property
    def title(self) -> str:
        return "generated images"

    @property
    def pixels(self) -> int:
        return self.side**2

    def build(self) -> "Synthetic":
        from fae.data.synthetic.images import Synthetic

        return Synthetic(
            side=self.side, train=self.train, val=self.val, test=self.test, seed=self.split_seed
        )

    @model_validator(mode="after")
    def _fits_in_memory(self) -> "SyntheticConfig":
        images = self.train + self.val + self.test
        if images * self.side**2 > MAX_PIXELS:
            raise ConfigError(
                f"data.side={self.side} with data.train={self.train}, data.val={self.val} and "
                f"data.test={self.test}: at most {MAX_PIXELS // self.side**2} images of this side"
            )
        return self
