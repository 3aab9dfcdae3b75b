"""The images on which a trained network is evaluated: its own, or those of another data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fae.data.config import DataConfig
from fae.data.images import DataSet, Images, split_at_random
from fae.data.memory import check_memory
from fae.data.shape import shape_of
from fae.errors import ConfigError, DataError
from fae.runs.stored import TrainedRun

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def check_splits(names: Sequence[str]) -> list[Split]:
    """The splits of these names, each once, in the order above; the test images if there are none.

    Raises:
        ConfigError: there is no such split.
    """
    for name in names:
        if name not in SPLITS:
            raise ConfigError(f"{name}: no such images; choose from {', '.join(SPLITS)}")
    return [split for split in SPLITS if split in names] or ["test"]


@dataclass(frozen=True)
class Source:
    """A data set with the settings of its split.

    Attributes:
        is_own: whether they are those of the run.
    """

    config: DataConfig
    data_set: DataSet
    is_own: bool

    def images(self, split: Split) -> Images:
        """The images of a split, uint8."""
        if split == "test":
            return self.data_set.test()
        sizes = self.config.train, self.config.val
        parts = split_at_random(self.data_set.training(), *sizes, self.config.split_seed)
        return parts[split == "val"]


def own(run: TrainedRun, root: Path | None) -> Source:
    """The images that a run was trained, validated and tested on.

    Args:
        root: folder of their files; None: where they are found.

    Raises:
        ConfigError, DataError: they are not here, or others are.
        UnreadableError: the run's configuration cannot be read.
    """
    config = run.config.data.with_root(root)
    data_set = _verified(config)
    stored = run.tags.get("fae.data_digest")
    if stored != data_set.digest:
        raise DataError(
            f"data={config.name}: the images here (digest {data_set.digest}) are not those of the "
            f"run (digest {stored!r:.50}); data.root=PATH says where these are"
        )
    return Source(config, data_set, is_own=True)


def other(run: TrainedRun, config: DataConfig) -> Source:
    """The images of another data set; of the run's own, if they are these, in the run's split.

    Raises:
        ConfigError: they are not of the size and the colours that the run's network takes.
        DataError: they are not available.
        UnreadableError: the run's configuration cannot be read.
    """
    if config.pixels != run.config.data.pixels:
        theirs, taken = map(_shape, (config.pixels, run.config.data.pixels))
        raise ConfigError(
            f"data={config.name}: its images have {theirs}; the network takes {taken}"
            + _remedy(run, config)
        )
    data_set = _verified(config)
    if data_set.digest == run.tags.get("fae.data_digest"):
        return own(run, config.data_root)
    return Source(config, data_set, is_own=False)


def _remedy(run: TrainedRun, config: DataConfig) -> str:
    """How own images, which are resized as one likes, fit."""
    if config.name != "folder":
        return ""
    channels, side = shape_of(run.config.data.pixels)
    return f"; write data.side={side} data.colour={str(channels == 3).lower()}"


def _verified(config: DataConfig) -> DataSet:
    check_memory(config)
    data_set = config.build()
    data_set.verify()
    return data_set


def _shape(pixels: int) -> str:
    channels, side = shape_of(pixels)
    return f"{side} x {side} pixels {'in colour' if channels == 3 else 'in grey'}"
