"""The images of CIFAR-10."""

from pathlib import Path

import torch
from torch import Tensor

from fae.data.cifar10.batches import read_batches
from fae.data.cifar10.files import ARCHIVE, files
from fae.data.images import Images
from fae.data.published import PublishedDataSet
from fae.runtime.digest import short_digest


class CIFAR10(PublishedDataSet):
    """CIFAR-10 (Krizhevsky 2009), from its archive.

    The archive is read in memory, so a read-only folder suffices.

    Args:
        root: folder of the archive.
        grey: convert the images to grey.
    """

    side = 32
    origin = "https://www.cs.toronto.edu/~kriz/cifar.html"
    files = files
    classes: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    def __init__(self, root: Path, *, grey: bool) -> None:
        super().__init__(root)
        self.grey = grey
        colours = "grey" if grey else "colour"
        self.digest = short_digest(f"{files.FILES[ARCHIVE].sha256} {colours}")

    def training(self) -> Images:
        return self._read(*(f"data_batch_{number}" for number in range(1, 6)))

    def test(self) -> Images:
        return self._read("test_batch")

    def _read(self, *names: str) -> Images:
        batches = read_batches(files.read(self.folder, ARCHIVE), names)
        pixels = [torch.from_numpy(batch["data"]) for batch in batches]
        return Images(
            torch.cat([luma(part) for part in pixels] if self.grey else pixels),
            torch.cat([torch.tensor(batch["labels"]) for batch in batches]),
        )


def luma(pixels: Tensor) -> Tensor:
    """Colour images in grey, (images, 3 * pixels) to (images, pixels), uint8.

    0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), rounded, a half upwards.
    """
    red, green, blue = pixels.int().chunk(3, dim=1)
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).to(torch.uint8)
