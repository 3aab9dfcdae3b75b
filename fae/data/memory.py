"""Whether the images of a data set fit into memory, told before they are read."""

from fae.data.config import DataConfig
from fae.data.datamodule import EVAL_BATCH_SIZE
from fae.errors import ConfigError
from fae.runtime.memory import available

COPIES = 3
"""Copies of the images in memory at once, a byte per value: as read, as parts, and split."""
EVALUATION = 2 * 4
"""Bytes per value of the images that are evaluated at once: these and their reconstructions."""


def check_memory(config: DataConfig) -> None:
    """Check that there is memory for the training and validation images, and to evaluate them.

    Raises:
        ConfigError: there is not.
    """
    images = config.train + config.val
    at_once = min(EVAL_BATCH_SIZE, images)
    needed, free = (COPIES * images + EVALUATION * at_once) * config.pixels, available()
    if needed > free:
        raise ConfigError(
            f"data={config.name}: {images} images of {config.pixels} values take "
            f"{needed / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB "
            "are available; use fewer or smaller images, or a machine with more memory"
        )
