"""Where images come from: each data set, verified and read.

A data set is a ``Source``; ``fae.data.datamodule`` makes batches of any.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from fae.config import DIGITS, DataConfig, DigitsConfig, FashionMNISTConfig, SyntheticConfig
from fae.data.fashion_mnist import files
from fae.errors import DataError
from fae.runtime.seeding import Stream, generator


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        pixels: (images, side * side), uint8 as a source has them, or float32 in [0, 1].
        labels: (images,), int64, 0 to 9.
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


class Source(Protocol):
    """A data set: where images (uint8) come from. Training and test images are read apart."""

    side: int
    """Height and width of an image, in pixels."""
    digest: str
    """Names the content: equal digests, equal images."""
    classes: tuple[str, ...]
    origin: str
    """Where the images are published."""

    def verify(self) -> None:
        """Make the images available, or raise a DataError."""

    def training(self) -> Images: ...

    def test(self) -> Images: ...


class FashionMNIST:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), from the files in a folder.

    Read straight from them, packed or not, so a read-only folder will do.
    """

    side = 28
    origin = "https://github.com/zalandoresearch/fashion-mnist"
    digest = hashlib.sha256(
        "".join(file.packed_sha256 for file in files.FILES.values()).encode()
    ).hexdigest()[:16]
    classes: tuple[str, ...] = (
        "T-shirt",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )

    def __init__(self, root: Path) -> None:
        self.folder = files.folder(root)

    def verify(self) -> None:
        """Check the four files, after downloading those that are missing.

        Raises:
            DataError: a file is damaged, or missing and not to be had.
        """
        try:
            complete = not files.missing(self.folder)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be read ({error.strerror})") from error
        if not complete:
            files.fetch(self.folder)
        for name in files.FILES:
            files.check(self.folder, name)

    def training(self) -> Images:
        return self._read("train")

    def test(self) -> Images:
        return self._read("t10k")

    def _read(self, part: str) -> Images:
        """Images and labels; a header of 16 or 8 bytes stands before them."""
        images = files.read(self.folder, f"{part}-images-idx3-ubyte")
        labels = files.read(self.folder, f"{part}-labels-idx1-ubyte")
        return Images(
            torch.frombuffer(images, dtype=torch.uint8, offset=16).view(-1, self.side * self.side),
            torch.frombuffer(labels, dtype=torch.uint8, offset=8).to(torch.int64),
        )


class Digits:
    """scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak 1998), which its package ships.

    The first 1,500 are trained and validated on, the last 297 tested on. Pixels have 17 levels,
    0 to 16, which become the nearest of 0 to 255: 0 stays 0, 8 (127.5) becomes 128, 16 becomes
    255. Each is then within 0.002 of its share of 16.
    """

    side = 8
    origin = "https://archive.ics.uci.edu/dataset/80"
    digest = "a19cb3d96bba7dea"
    classes = tuple("0123456789")

    def verify(self) -> None:
        """Check the digits that are installed.

        Raises:
            DataError: they are others.
        """
        images = self._read()
        content = torch.cat([images.pixels.flatten(), images.labels.to(torch.uint8)])
        if hashlib.sha256(content.numpy().tobytes()).hexdigest()[:16] != self.digest:
            raise DataError(
                f"data=digits: scikit-learn {version('scikit-learn')} ships other digits than fae "
                "knows; install another, as by pip install -c constraints.txt -e ."
            )

    def training(self) -> Images:
        return self._read()[:DIGITS]

    def test(self) -> Images:
        return self._read()[DIGITS:]

    def _read(self) -> Images:
        from sklearn.datasets import load_digits

        found = load_digits()
        pixels = torch.from_numpy(found.data).mul(255 / 16).round().to(torch.uint8)
        return Images(pixels, torch.from_numpy(found.target).to(torch.int64))


class Synthetic:
    """Small images of ten classes, made from a seed: a class is a blob at a place of its own."""

    classes = tuple(f"class {label}" for label in range(10))
    origin = "fae.data.dataset.Synthetic"

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        self.side = config.side
        key = f"synthetic {config.side} {config.train} {config.val} {config.test}"
        self.digest = hashlib.sha256(f"{key} {config.split_seed}".encode()).hexdigest()[:16]

    def verify(self) -> None:
        """Nothing to fetch."""

    def training(self) -> Images:
        return self._make(self.config.train + self.config.val, part=0)

    def test(self) -> Images:
        return self._make(self.config.test, part=1)

    def _make(self, count: int, part: int) -> Images:
        random = generator(self.config.split_seed, Stream.IMAGES, part)
        labels = torch.arange(count) % 10
        angle = labels / 10 * 2 * torch.pi
        jitter = torch.rand(3, count, generator=random) - 0.5
        column = 0.5 + 0.3 * torch.cos(angle) + 0.2 * jitter[0]
        row = 0.5 + 0.3 * torch.sin(angle) + 0.2 * jitter[1]
        width = 0.2 + 0.2 * jitter[2]
        grid = (torch.arange(self.side) + 0.5) / self.side
        across = (grid - column[:, None]) / width[:, None]
        down = (grid - row[:, None]) / width[:, None]
        pixels = torch.exp(-(down[:, :, None].square() + across[:, None, :].square()))
        return Images(pixels.flatten(1).mul(255).round().to(torch.uint8), labels)


def build_source(config: DataConfig) -> Source:
    """The data set that ``config`` names."""
    if isinstance(config, FashionMNISTConfig):
        return FashionMNIST(config.root)
    if isinstance(config, DigitsConfig):
        return Digits()
    return Synthetic(config)
