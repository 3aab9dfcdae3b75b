"""Batches of images: split at random, held in memory as one tensor.

A batch is an index into that tensor; nothing is done image by image.
"""

from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fae.randomness import Stream, generator
from fae.sources import Images, Source, split_at_random

EVALUATION_BATCH = 1000
"""Images of a batch in an evaluation: few enough that a layer's output stays in the cache."""

TOGETHER = 50
"""Minibatches that Lightning hands on at a time: what it does around each hand-over (some 2 ms)
would otherwise be a third of a small network's step."""


class ImageDataModule(pl.LightningDataModule):
    """Batches of a source, split at random into training and validation.

    The test images are read when testing starts, not before. All images lie on the
    trainer's device.

    Args:
        source: the data set.
        train, val: images of the training file in either part.
        split_seed: seed of the split.
        batch_size: images of a batch; the last of an epoch may be smaller.
        seed: seed of the order, which differs from epoch to epoch.
        limit: minibatches of an epoch at most; None for all.
    """

    def __init__(
        self,
        source: Source,
        *,
        train: int,
        val: int,
        split_seed: int,
        batch_size: int,
        seed: int,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.sizes = (train, val)
        self.split_seed = split_seed
        self.batch_size = batch_size
        self.seed = seed
        self.limit = limit

    @property
    def steps_per_epoch(self) -> int:
        """Minibatches of an epoch."""
        steps = -(-self.sizes[0] // self.batch_size)
        return steps if self.limit is None else min(steps, self.limit)

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if stage == "test":
            self.test = self.source.test().as_floats(device)
        else:
            train, val = split_at_random(self.source.training(), *self.sizes, self.split_seed)
            self.train = train.as_floats(device)
            self.val = val.as_floats(device)

    def train_dataloader(self) -> "DataLoader[Minibatches]":
        order = ShuffledBatches(len(self.train), self.batch_size, self.seed, self.steps_per_epoch)
        return DataLoader(_Gathered(self.train.pixels), sampler=order, batch_size=None)

    def val_dataloader(self) -> list[DataLoader[Tensor]]:
        """Two passes that end each epoch: the training images, then the validation images."""
        return [self._in_order(self.train), self._in_order(self.val)]

    def test_dataloader(self) -> DataLoader[Tensor]:
        return self._in_order(self.test)

    def _in_order(self, images: Images) -> DataLoader[Tensor]:
        order = ConsecutiveBatches(len(images), EVALUATION_BATCH)
        return DataLoader(_Slices(images.pixels), sampler=order, batch_size=None)


class Minibatches:
    """Minibatches of training images that follow each other, each made when it is asked for.

    Iterating gives images (batch, pixels) in a buffer that the next minibatch overwrites.

    Attributes:
        start: place of the first in its epoch, from 0.
    """

    def __init__(self, pixels: Tensor, indexes: Sequence[Tensor], start: int) -> None:
        self.start = start
        self._pixels = pixels
        self._indexes = indexes

    def __len__(self) -> int:
        return len(self._indexes)

    @property
    def sizes(self) -> list[int]:
        """Images of each."""
        return [len(index) for index in self._indexes]

    def __iter__(self) -> Iterator[Tensor]:
        buffer = self._pixels.new_empty(len(self._indexes[0]), self._pixels.shape[1])
        for index in self._indexes:
            yield torch.index_select(self._pixels, 0, index, out=buffer[: len(index)])


class ShuffledBatches(Sampler[tuple[int, Sequence[Tensor]]]):
    """Which images make the minibatches of an epoch, by (seed, epoch) alone.

    Gives up to 50 minibatches at a time: the place of the first, and an index tensor
    (batch,) of each. Lightning calls ``set_epoch`` before each epoch, as for torch's
    DistributedSampler.

    Args:
        steps: minibatches of an epoch.
    """

    def __init__(self, images: int, batch_size: int, seed: int, steps: int) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, Sequence[Tensor]]]:
        random = generator(self.seed, Stream.ORDER, self.epoch)
        indexes = torch.randperm(self.images, generator=random).split(self.batch_size)
        for start in range(0, self.steps, TOGETHER):
            yield start, indexes[start : min(start + TOGETHER, self.steps)]

    def __len__(self) -> int:
        return -(-self.steps // TOGETHER)


class ConsecutiveBatches(Sampler[slice]):
    """Slices that cover the images in order, so that a batch is a view, not a copy."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.slices = [slice(i, i + batch_size) for i in range(0, images, batch_size)]

    def __iter__(self) -> Iterator[slice]:
        return iter(self.slices)

    def __len__(self) -> int:
        return len(self.slices)


class _Slices(Dataset[Tensor]):
    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __getitem__(self, index: slice) -> Tensor:
        return self.pixels[index]


class _Gathered(Dataset[Minibatches]):
    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __getitem__(self, index: tuple[int, Sequence[Tensor]]) -> Minibatches:
        start, indexes = index
        return Minibatches(self.pixels, indexes, start)
