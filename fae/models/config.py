"""Settings that all networks share, and the type of the dial ``dropout``."""

from collections.abc import Callable
from dataclasses import asdict
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from fae.runtime.fields import STRICT, RunId, Share

if TYPE_CHECKING:
    from fae.data.images import Images
    from fae.models.network import Network

DROPOUT_STEPS = 2**16
"""Dropout probabilities are multiples of 1/``DROPOUT_STEPS``; see ``fae.models.layers.dropout``."""


def _can_be_had(dropout: float) -> float:
    """Check that a dropout probability is within 1 % of a multiple of 1/65536.

    The 1 % are of the probability that a unit is dropped or kept, whichever is smaller.
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
    """Base class of the settings of a network; each network adds its own.

    Its module must be light (no torch), so that ``--help`` is quick and wrong values are reported
    at once.
    """

    name: str
    """Name of the network in ``fae.models.catalogue``."""
    weights: RunId | None = None
    """Run whose network's weights are the initial ones: its id, or the beginning of it; null: they
    are drawn at random."""

    normal_codes: ClassVar[bool] = False
    """Whether training draws codes towards the standard normal distribution, so that the network
    makes new images of numbers that are drawn from it."""

    @property
    def loss(self) -> str:
        """What the network minimises, in words."""
        return "mean squared error over images and pixels"

    @property
    def depends_on_threads(self) -> bool:
        """Whether the bits of its results depend on the number of threads that compute them."""
        return False

    @property
    def choices(self) -> dict[str, str]:
        """The settings that are logged as parameters of a run: those with strings as values."""
        words = {key: value for key, value in asdict(self).items() if isinstance(value, str)}
        return {key: word for key, word in words.items() if key != "name"}

    def build(self, pixels: int, hidden: int, dropout: float) -> "Network":
        """The network, its weights drawn from torch's global generator.

        Args:
            pixels: pixels of an image.
            hidden: units of the hidden layer (the size of a code), the paper's n.
            dropout: probability with which a hidden unit is dropped in training, [0, 1).
        """
        raise NotImplementedError

    def check(self, pixels: int, hidden: int) -> None:
        """Check that the settings are possible for images of this size.

        Raises:
            ConfigError: names the setting that is not.
        """

    def initialise(self, network: "Network", training: "Callable[[], Images]") -> None:
        """Set the initial weights that depend on the training images, if any.

        Args:
            network: the network that ``build`` returned.
            training: returns the training images.
        """
