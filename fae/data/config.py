"""Settings that all data sets share."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.runtime.fields import STRICT, Count, Penalty, Seed

if TYPE_CHECKING:
    from fae.data.images import DataSet

MAX_PIXELS = 1_000_000_000
"""Maximum number of pixels of a data set: 18 times those of Fashion-MNIST."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Base class of the settings of a data set; each data set adds its own.

    Its module must be light (no torch), so that ``--help`` is quick and wrong values are reported
    at once.
    """

    name: str
    """Name of the data set in ``fae.data.catalogue``."""
    train: Count
    """Number of training images, drawn at random from all images except the test images."""
    val: Count
    """Number of validation images: the remaining ones, except the test images."""
    split_seed: Seed
    """Seed of the split; separate from ``seed``, so that runs with other seeds share the split."""
    noise: Penalty = 0.0
    """Standard deviation of Gaussian noise that is added to the images that a network sees in
    training, not to those that it is to reconstruct; pixels are in [0, 1]."""

    @property
    def title(self) -> str:
        """What a reader calls the data set."""
        return self.name

    @property
    def pixels(self) -> int:
        """Values of an image: its pixels, in colour three for each."""
        raise NotImplementedError

    def build(self) -> "DataSet":
        """The data set; its images are not read yet, except those of a user's own files.

        Raises:
            ConfigError, DataError: these cannot be read.
        """
        raise NotImplementedError

    @property
    def data_root(self) -> Path | None:
        """Folder of its files, the setting ``root``; None for a data set without files."""
        return getattr(self, "root", None)

    def with_root(self, root: Path | None) -> "DataConfig":
        """The same data set in another folder, if it has files; None: ``$FAE_DATA``, or where they
        are found.

        Raises:
            ConfigError, DataError: that is not known.
        """
        changes: dict[str, Any] = {"root": root or os.environ.get("FAE_DATA")}
        return replace(self, **changes) if self.data_root else self

    def check_split(self, images: int, which: str) -> None:
        """Check that training and validation images add up to all images except the test images.

        Args:
            images: number of images, except the test images.
            which: description of these images for the message.

        Raises:
            ConfigError: they do not add up.
        """
        if self.train + self.val != images:
            raise ConfigError(
                f"data.train={self.train} and data.val={self.val}: must add up to the {images} "
                f"{which}, not to {self.train + self.val}"
            )
