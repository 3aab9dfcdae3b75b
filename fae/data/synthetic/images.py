"""Synthetic images."""

import hashlib

import torch

from fae.data.images import Images
from fae.data.synthetic.config import SyntheticConfig
from fae.runtime.seeding import Stream, generator


class Synthetic:
    """Small images of ten classes, generated from a seed: each class is a blob at its own place."""

    classes = tuple(f"class {label}" for label in range(10))
    origin = "fae.data.synthetic"
    folder = None

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        self.side = config.side
        key = f"synthetic {config.side} {config.train} {config.val} {config.test}"
        self.digest = hashlib.sha256(f"{key} {config.split_seed}".encode()).hexdigest()[:16]

    def missing(self) -> str:
        return ""

    def verify(self) -> None:
        """Do nothing: the images are generated."""

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
