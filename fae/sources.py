"""Where images come from: each data set, fetched and verified.

A data set is a ``Source``; ``fae.data`` makes batches of any.
"""

import gzip
import hashlib
import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from filelock import FileLock
from torch import Tensor

from fae.config import FashionMNISTConfig, SyntheticConfig
from fae.errors import DataError
from fae.randomness import Stream, generator

SHA256 = {
    "train-images-idx3": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""The four official files (each ``<name>-ubyte.gz``), as published by Zalando Research."""


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

    def __getitem__(self, index: Tensor) -> "Images":
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
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) in torchvision's folder layout.

    Read straight from the ``.gz`` files, so a read-only folder will do.
    """

    side = 28
    origin = "https://github.com/zalandoresearch/fashion-mnist"
    digest = hashlib.sha256("".join(SHA256.values()).encode()).hexdigest()[:16]
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
        self.folder = root / "FashionMNIST" / "raw"

    def verify(self) -> None:
        """Check the four files by SHA-256, after downloading those that are absent.

        Raises:
            DataError: a file is damaged, or absent and not to be had.
        """
        try:
            complete = all(self._path(name).exists() for name in SHA256)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be read ({error.strerror})") from error
        if not complete:
            self._download()
        for name, sha256 in SHA256.items():
            path = self._path(name)
            if _sha256(path) != sha256:
                raise DataError(
                    f"{path}: not the official file (wrong SHA-256); "
                    "delete it to have it downloaded again, or set data.root"
                )

    def training(self) -> Images:
        return self._read("train")

    def test(self) -> Images:
        return self._read("t10k")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}-ubyte.gz"

    def _read(self, part: str) -> Images:
        pixels = _read_idx(self._path(f"{part}-images-idx3"), header=16)
        labels = _read_idx(self._path(f"{part}-labels-idx1"), header=8)
        return Images(pixels.view(-1, self.side * self.side), labels.to(torch.int64))

    def _download(self) -> None:
        """Fetch the absent files, one process at a time, each whole or not at all."""
        from torchvision.datasets import FashionMNIST as Published
        from torchvision.datasets.utils import download_url

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                FileLock(self.folder / ".lock"),
                tempfile.TemporaryDirectory(dir=self.folder) as fresh,
            ):
                for name, md5 in Published.resources:
                    if not (self.folder / name).exists():
                        download_url(Published.mirrors[0] + name, fresh, name, md5)
                        os.replace(Path(fresh, name), self.folder / name)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"data.root: no Fashion-MNIST in {self.folder}, and downloading it failed "
                f"({error}); set FAE_DATA or data.root to a folder that holds FashionMNIST/raw/*.gz"
            ) from error


class Synthetic:
    """Small images of ten classes, made from a seed: a class is a blob at a place of its own."""

    classes = tuple(f"class {label}" for label in range(10))
    origin = "fae.sources.Synthetic"

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


def build_source(config: FashionMNISTConfig | SyntheticConfig) -> Source:
    """The data set that ``config`` names."""
    if isinstance(config, SyntheticConfig):
        return Synthetic(config)
    return FashionMNIST(config.root)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _read_idx(path: Path, header: int) -> Tensor:
    """The bytes of a gzipped IDX file (LeCun's format) behind its header, uint8."""
    content = io.BytesIO()
    with gzip.open(path) as file:
        shutil.copyfileobj(file, content)
    return torch.frombuffer(content.getbuffer(), dtype=torch.uint8, offset=header)
