"""Settings of the handwritten digits."""

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from fae.data.config import DataConfig
from fae.runtime.fields import STRICT

if TYPE_CHECKING:
    from fae.data.digits.images import Digits

NON_TEST = 1500
"""Number of training and validation images; the test images follow them."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DigitsConfig(DataConfig):
    """The 1,797 handwritten digits of scikit-learn: 1,500 for training and validation, 297 for
    testing."""

    name: Literal["digits"]

    @property
    def title(self) -> str:
        return "scikit-learn's handwritten digits"

    @property
    def pixels(self) -> int:
        return 64

    def build(self) -> "Digits":
        from fae.data.digits.images import Digits

        return Digits(NON_TEST)

    @model_validator(mode="after")
    def _splits_the_first(self) -> "DigitsConfig":
        self.check_split(NON_TEST, "digits that are not for testing")
        return self
