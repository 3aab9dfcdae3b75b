"""Synthetic images."""

import hashlib

import torch

from fae.data.images import Images
from fae.runtime.seeding import Stream, generator


class Synthetic:
    """Small images of ten classes, made from a seed: a class is a blob at a place of its own.

    Args:
        side: height and width of an image, in pixels.
        train, val, test: numbers of images.
        seed: of the images.
    """

    classes = tuple(f"class {label}" for label in range(10))
    origin = "fae.data.synthetic"
    folder = None

    def __init__(self, *, side: int, train: int, val: int, test: int, seed: int) -> None:
        self.side = side
        self.sizes = train + val, test
        self.seed = seed
        key = f"synthetic {side} {train} {val} {test} {seed}"
        self.digest = hashlib.sha256(key.encode()).hexdigest()[:16]

    def missing(self) -> str:
        return ""

    def verify(self) -> None:
        """Do nothing: the images are generated."""

    def training(self) -> Images:
        return self._make(part=0)

    def test(self) -> Images:
        return self._make(part=1)

    def _make(self, part: int) -> Images:
        count, random = self.sizes[part], generator(self.seed, Stream.IMAGES, part)
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
