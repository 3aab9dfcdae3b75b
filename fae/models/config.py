"""Settings that every network has, and the probability of dropout, which is a dial."""

from collections.abc import Callable
from dataclasses import asdict
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from fae.runtime.fields import STRICT, Share

if TYPE_CHECKING:
    from fae.data.images import Images
    from fae.models.network import Network

DROPOUT_STEPS = 2**16
"""Probabilities that dropout can have; see ``fae.models.layers.dropout``."""


def _can_be_had(dropout: float) -> float:
    """A probability of dropout that is a multiple of 1/65536, give or take 1 % of it.

    Or 1 % of the probability that a unit is kept, where that is the smaller one.
    """
    steps = dropout * DROPOUT_STEPS
    if abs(steps - round(steps)) > 0.01 * min(steps, DROPOUT_STEPS - steps):
        nearest = [step for step in (floor(steps), ceil(steps)) if step < DROPOUT_STEPS]
        possible = " or ".join(f"{step / DROPOUT_STEPS:.8g}" for step in nearest)
        raise PydanticCustomError(
            "steps",
            "Input should be within 1 % of a multiple of 1/65536, such as {possible}",
            {"possible": possible},
        )
    return dropout


Dropout = Annotated[Share, AfterValidator(_can_be_had)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """Settings of a network; each has a class of its own, which adds to these.

    A light module, without torch: ``--help`` and wrong values are answered at once.
    """

    name: str
    """Of the network in ``fae.models.catalogue``."""

    @property
    def choices(self) -> dict[str, str]:
        """What people compare networks of this kind by: the settings that are words."""
        words = {key: value for key, value in asdict(self).items() if isinstance(value, str)}
        return {key: word for key, word in words.items() if key != "name"}

    def build(self, pixels: int, hidden: int, dropout: float) -> "Network":
        """The network, its weights drawn from torch's own generator.

        Args:
            pixels: numbers that make an image.
            hidden: numbers of a code, the paper's n.
            dropout: probability with which a hidden unit is dropped in training, [0, 1).
        """
        raise NotImplementedError

    def check(self, pixels: int, hidden: int) -> None:
        """Make sure that there is such a network for images of this size.

        Raises:
            ConfigError: names the setting that does not fit.
        """

    def start(self, network: "Network", training: "Callable[[], Images]") -> None:
        """Set weights that do not come from chance alone, before training begins.

        Args:
            network: as ``build`` made it.
            training: gives the images that it will be trained on.
        """
