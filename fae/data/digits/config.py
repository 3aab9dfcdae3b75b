"""Settings of the digits."""

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from fae.data.config import DataConfig
from fae.runtime.fields import STRICT

if TYPE_CHECKING:
    from fae.data.digits.images import Digits

FIRST = 1500
"""Digits that are not for testing; they come first."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DigitsConfig(DataConfig):
    """The 1,797 handwritten digits of scikit-learn: 1,500 to train and validate on, 297 to test
    on."""

    name: Literal["digits"]

    @property
    def pixels(self) -> int:
        return 64

    def build(self) -> "Digits":
        from fae.data.digits.images import Digits

        return Digits(FIRST)

    @model_validator(mode="after")
    def _splits_the_first(self) -> "DigitsConfig":
        self.check_split(FIRST, "digits that are not tested on")
        return self
