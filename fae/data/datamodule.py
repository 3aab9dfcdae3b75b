"""Batches of images: split at random, held in memory as one tensor.

A batch is an index into that tensor; nothing is done per image. Pixels stay bytes until they are
part of a batch, which takes a quarter of the memory and memory traffic of floats.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fae.data.config import DataConfig
from fae.data.images import DataSet, Images, split_at_random
from fae.runtime.seeding import Stream, generator

EVAL_BATCH_SIZE = 1000
"""Images per batch of an evaluation; small enough that a layer's output stays in the cache."""

BATCHES_PER_STEP_CALL = 50
"""Batches per call of ``training_step``. Lightning's overhead per call (about 2 ms) would otherwise
take longer than a step of a small network. An evaluation is a single call."""


class ImageDataModule(pl.LightningDataModule):
    """Batches of a data set, split at random into training and validation images.

    The test images are not read before testing starts. All images are held on the trainer's
    device.

    Args:
        data_set: the data set.
        config: its settings, with the sizes and the seed of the split.
        batch_size: images per batch; the last batch of an epoch may be smaller.
        seed: seed of the order of the images, which differs between epochs.
        limit: maximum number of batches of each pass; None for all.
    """

    def __init__(
        self,
        data_set: DataSet,
        config: DataConfig,
        *,
        batch_size: int,
        seed: int,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.data_set = data_set
        self.config = config
        self.batch_size = batch_size
        self.seed = seed
        self.limit = limit

    @property
    def steps_per_epoch(self) -> int:
        """Batches, and so optimizer steps, per epoch."""
        steps = -(-self.config.train // self.batch_size)
        return steps if self.limit is None else min(steps, self.limit)

    @cached_property
    def split(self) -> tuple[Images, Images]:
        """The training and the validation images, on the CPU."""
        sizes = self.config.train, self.config.val
        return split_at_random(self.data_set.training(), *sizes, self.config.split_seed)

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if stage == "test":
            self.test = self.data_set.test().to(device)
        else:
            self.train, self.val = (images.to(device) for images in self.split)
            del self.split

    def train_dataloader(self) -> "DataLoader[BatchChunk]":
        order = ShuffledBatches(
            len(self.train),
            self.batch_size,
            self.seed,
            self.steps_per_epoch,
            self.train.pixels.device,
        )
        return DataLoader(_ChunkDataset(self.train.pixels), sampler=order, batch_size=None)

    def val_dataloader(self) -> "list[DataLoader[EvalBatches]]":
        """The evaluations at the end of an epoch: on training images, then on validation images."""
        return [self._in_order(self.train), self._in_order(self.val)]

    def test_dataloader(self) -> "DataLoader[EvalBatches]":
        return self._in_order(self.test)

    def _in_order(self, images: Images) -> "DataLoader[EvalBatches]":
        return DataLoader(_SplitDataset(EvalBatches(images, self.limit)), batch_size=None)


class BatchChunk:
    """Consecutive batches of training images, each gathered on demand.

    Iterating yields images (batch, pixels), float32 in [0, 1], in a buffer that the next batch
    overwrites.

    Attributes:
        start: step of the first batch in its epoch, from 0.
    """

    def __init__(self, pixels: Tensor, indexes: Sequence[Tensor], start: int) -> None:
        self.start = start
        self._pixels = pixels
        self._indexes = indexes

    def __len__(self) -> int:
        return len(self._indexes)

    @property
    def sizes(self) -> list[int]:
        """Number of images in each batch."""
        return [len(index) for index in self._indexes]

    def __iter__(self) -> Iterator[Tensor]:
        return _as_floats(self._pixels.index_select(0, index) for index in self._indexes)


class EvalBatches:
    """All images of a split, in order and in batches, each converted on demand.

    Iterating yields images as ``BatchChunk`` does.

    Args:
        limit: maximum number of batches; None for all.
    """

    def __init__(self, images: Images, limit: int | None = None) -> None:
        self._batches = images.pixels.split(EVAL_BATCH_SIZE)[:limit]

    def __iter__(self) -> Iterator[Tensor]:
        return _as_floats(self._batches)


def _as_floats(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Convert batches of pixels 0 to 255 to float32 in [0, 1], all in one buffer.

    The first batch must be the largest.
    """
    buffer: Tensor | None = None
    for pixels in batches:
        if buffer is None:
            buffer = torch.empty_like(pixels, dtype=torch.float32)
        yield buffer[: len(pixels)].copy_(pixels).div_(255)


class ShuffledBatches(Sampler[tuple[int, Sequence[Tensor]]]):
    """Indexes of the images in each batch of an epoch; depends on (seed, epoch) only.

    Yields up to ``BATCHES_PER_STEP_CALL`` batches at a time: the step of the first one, and one
    index tensor (batch,) per batch. Lightning calls ``set_epoch`` before each epoch, as for
    torch's DistributedSampler.

    Args:
        steps: batches per epoch.
        device: device of the index tensors, which are copied there once per epoch.
    """

    def __init__(
        self, images: int, batch_size: int, seed: int, steps: int, device: torch.device
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps
        self.device = device
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, Sequence[Tensor]]]:
        random = generator(self.seed, Stream.ORDER, self.epoch)
        order = torch.randperm(self.images, generator=random).to(self.device)
        indexes = order.split(self.batch_size)
        for start in range(0, self.steps, BATCHES_PER_STEP_CALL):
            yield start, indexes[start : min(start + BATCHES_PER_STEP_CALL, self.steps)]

    def __len__(self) -> int:
        return -(-self.steps // BATCHES_PER_STEP_CALL)


class _ChunkDataset(Dataset[BatchChunk]):
    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __getitem__(self, index: tuple[int, Sequence[Tensor]]) -> BatchChunk:
        start, indexes = index
        return BatchChunk(self.pixels, indexes, start)


class _SplitDataset(Dataset[EvalBatches]):
    """A data set of one item: all batches of a split."""

    def __init__(self, batches: EvalBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> EvalBatches:
        return self.batches
