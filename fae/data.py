"""Batches of images: split at random, held in memory as one tensor.

A batch is an index into that tensor; nothing is done image by image.
"""

from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fae.randomness import Stream, generator
from fae.sources import Images, Source, split_at_random

EVALUATION_BATCH = 1000
"""Images of a batch in an evaluation: few enough that a layer's output stays in the cache."""


class ImageDataModule(pl.LightningDataModule):
    """Batches (batch, pixels) of a source, split at random into training and validation.

    The test images are read when testing starts, not before. All images lie on the
    trainer's device.

    Args:
        source: the data set.
        train, val: images of the training file in either part.
        split_seed: seed of the split.
        batch_size: images of a batch; the last of an epoch may be smaller.
        seed: seed of the order, which differs from epoch to epoch.
    """

    def __init__(
        self, source: Source, *, train: int, val: int, split_seed: int, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.source = source
        self.sizes = (train, val)
        self.split_seed = split_seed
        self.batch_size = batch_size
        self.seed = seed

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if stage == "test":
            self.test = self.source.test().as_floats(device)
        else:
            train, val = split_at_random(self.source.training(), *self.sizes, self.split_seed)
            self.train = train.as_floats(device)
            self.val = val.as_floats(device)

    def train_dataloader(self) -> DataLoader[Tensor]:
        order = ShuffledBatches(len(self.train), self.batch_size, self.seed)
        return _loader(self.train, order)

    def val_dataloader(self) -> list[DataLoader[Tensor]]:
        """Two passes that end each epoch: the training images, then the validation images."""
        return [self._in_order(self.train), self._in_order(self.val)]

    def test_dataloader(self) -> DataLoader[Tensor]:
        return self._in_order(self.test)

    def _in_order(self, images: Images) -> DataLoader[Tensor]:
        return _loader(images, ConsecutiveBatches(len(images), EVALUATION_BATCH))


class ShuffledBatches(Sampler[Tensor]):
    """Index tensors (batch,) of one epoch in an order that depends on (seed, epoch) alone.

    Lightning calls ``set_epoch`` before each epoch, as for torch's DistributedSampler.
    """

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(
            self.images, generator=generator(self.seed, Stream.ORDER, self.epoch)
        )
        return iter(order.split(self.batch_size))

    def __len__(self) -> int:
        return -(-self.images // self.batch_size)


class ConsecutiveBatches(Sampler[slice]):
    """Slices that cover the images in order, so that a batch is a view, not a copy."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.slices = [slice(i, i + batch_size) for i in range(0, images, batch_size)]

    def __iter__(self) -> Iterator[slice]:
        return iter(self.slices)

    def __len__(self) -> int:
        return len(self.slices)


class _Rows(Dataset[Tensor]):
    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return self.pixels[index]


def _loader(images: Images, batches: Sampler[Tensor] | Sampler[slice]) -> DataLoader[Tensor]:
    return DataLoader(_Rows(images.pixels), sampler=batches, batch_size=None)
