"""Settings that every data set has."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.runtime.fields import STRICT, Count, Seed

if TYPE_CHECKING:
    from fae.data.images import DataSet

MAX_PIXELS = 1_000_000_000
"""Of all images of a data set: 18 times as many as Fashion-MNIST has."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Settings of a data set; each has a class of its own, which adds to these.

    A light module, without torch: ``--help`` and wrong values are answered at once.
    """

    name: str
    """Of the data set in ``fae.data.catalogue``."""
    train: Count
    """Images to train on, drawn at random from those that are not for testing."""
    val: Count
    """Images to validate on: the others that are not for testing."""
    split_seed: Seed
    """Seed of the split; its own, so that runs with another ``seed`` share it."""

    @property
    def pixels(self) -> int:
        """Numbers that make an image."""
        raise NotImplementedError

    def build(self) -> "DataSet":
        """The data set; it is not read yet."""
        raise NotImplementedError

    @property
    def place(self) -> Path | None:
        """The folder that its images lie in; None for a data set that lies in none."""
        return None

    def within(self, root: Path | None) -> "DataConfig":
        """The same data set in another folder, if it lies in one; None: where it is found."""
        return self

    def check_split(self, images: int, which: str) -> None:
        """Make sure that training and validation images are all that there are.

        Args:
            images: that are not for testing.
            which: these are, for a message.

        Raises:
            ConfigError: they are not.
        """
        if self.train + self.val != images:
            raise ConfigError(
                f"data.train={self.train} and data.val={self.val}: must add up to the {images} "
                f"{which}, not to {self.train + self.val}"
            )
