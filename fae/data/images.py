"""Labelled images, the ``DataSet`` protocol, and the split into training and validation images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from fae.runtime.seeding import Stream, generator


@dataclass(frozen=True)
class Images:
    """Images with their class labels.

    Attributes:
        pixels: (images, pixels), uint8 as in a data set, or float32 in [0, 1]; an image in colour
            is all its reds, then its greens, then its blues (see ``fae.data.shape``).
        labels: (images,), int64, from 0.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Images":
        return Images(self.pixels[index], self.labels[index])

    def to(self, device: torch.device) -> "Images":
        """The images on a device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def as_floats(self) -> "Images":
        """The images with pixels 0 to 255 as float32 in [0, 1]."""
        return Images(self.pixels.float().div_(255), self.labels)

    def first_of_each_class(self) -> Tensor:
        """Indexes of the first image of each class, in the order of the classes, (classes,)."""
        return torch.cat([(self.labels == label).nonzero()[0] for label in self.labels.unique()])


def split_at_random(images: Images, train: int, val: int, seed: int) -> tuple[Images, Images]:
    """Split images at random into ``train`` training images and ``val`` validation images."""
    order = torch.randperm(len(images), generator=generator(seed, Stream.SPLIT))
    first, second = order.split([train, val])
    return images[first], images[second]


class DataSet(Protocol):
    """A data set. Its settings are a ``DataConfig``.

    Images are uint8. Test images are read separately from all others.
    """

    side: int
    """Height and width of an image, in pixels."""
    digest: str
    """Identifies the content: equal digests mean equal images. Known before the images are read."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    origin: str
    """Where the images are published, such as a URL."""

    @property
    def folder(self) -> Path | None:
        """Folder of its files, present or to be downloaded; None if it has no files."""

    def missing(self) -> str:
        """Human-readable description of what must be downloaded; empty if nothing.

        Raises:
            DataError: a file is damaged, or cannot be read.
        """

    def verify(self) -> None:
        """Download the images if necessary, and check them.

        Raises:
            DataError: the images are not available, or do not match ``digest``.
        """

    def training(self) -> Images:
        """The training and validation images, ``train + val`` of the settings."""

    def test(self) -> Images:
        """The test images."""
