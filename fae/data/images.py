"""Images with their classes, what a data set is, and how it is split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from fae.runtime.seeding import Stream, generator


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        pixels: (images, side * side), uint8 as a data set has them, or float32 in [0, 1].
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
        """Where the first image of each class stands, in the order of the classes."""
        return torch.cat([(self.labels == label).nonzero()[0] for label in self.labels.unique()])


def split_at_random(images: Images, train: int, val: int, seed: int) -> tuple[Images, Images]:
    """Images to train and to validate on, so many of each, drawn from all."""
    order = torch.randperm(len(images), generator=generator(seed, Stream.SPLIT))
    first, second = order.split([train, val])
    return images[first], images[second]


class DataSet(Protocol):
    """A data set: where images come from. Its settings are a ``DataConfig``.

    Images are uint8; those that are not for testing and those that are are read apart.
    """

    side: int
    """Height and width of an image, in pixels."""
    digest: str
    """Names the content: equal digests, equal images. Known before the images are read."""
    classes: tuple[str, ...]
    """What an image shows, by its label."""
    origin: str
    """Where the images are published."""

    @property
    def folder(self) -> Path | None:
        """Where its files are, or would be downloaded to; None if it has none."""

    def missing(self) -> str:
        """What a download would have to bring, in words; empty if nothing.

        Raises:
            DataError: what is there is damaged, or cannot be read.
        """

    def verify(self) -> None:
        """Make the images available, by a download if need be, and check them.

        Raises:
            DataError: they are not to be had, or others than those of ``digest``.
        """

    def training(self) -> Images:
        """The images to train and to validate on, ``train + val`` of the settings."""

    def test(self) -> Images:
        """The images to test on."""
