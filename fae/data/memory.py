"""Whether the images of a data set fit into memory, told before they are read."""

from fae.data.config import DataConfig
from fae.errors import ConfigError
from fae.runtime.memory import available

COPIES = 2
"""Copies of the images in memory at once: as they were read, and split."""


def check_memory(config: DataConfig) -> None:
    """Check that there is memory for the training and validation images, a byte per value.

    Raises:
        ConfigError: there is not.
    """
    images = config.train + config.val
    needed, free = COPIES * images * config.pixels, available()
    if needed > free:
        raise ConfigError(
            f"data={config.name}: {images} images of {config.pixels} values take "
            f"{needed / 1e9:.1f} GB of memory while they are split, of which {free / 1e9:.1f} GB "
            "are available; use fewer or smaller images, or a machine with more memory"
        )
