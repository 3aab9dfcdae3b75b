"""The images of Fashion-MNIST."""

import hashlib
from pathlib import Path

import torch

from fae.data.fashion_mnist.files import files
from fae.data.images import Images
from fae.errors import DataError


class FashionMNIST:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), from the files in a folder.

    Packed files are not unpacked on disk, so a read-only folder suffices. Its code is part of the
    fingerprint of stored runs, so it stays as it is; others share ``PublishedDataSet``.

    Args:
        root: folder that holds the files in ``FashionMNIST/raw``.
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
        self.folder: Path = files.folder(root)

    def missing(self) -> str:
        try:
            absent = files.missing(self.folder)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be read ({error.strerror})") from error
        for name in files.FILES.keys() - absent:
            files.check(self.folder, name)
        return f"{self.folder} lacks {len(absent)} of {len(files.FILES)} files" if absent else ""

    def verify(self) -> None:
        """Check the four files, after downloading missing ones.

        Raises:
            DataError: a file is damaged, or missing and cannot be downloaded.
        """
        if self.missing():
            files.fetch(self.folder)
            for name in files.FILES:
                files.check(self.folder, name)

    def training(self) -> Images:
        return self._read("train")

    def test(self) -> Images:
        return self._read("t10k")

    def _read(self, part: str) -> Images:
        """Images and labels, without the IDX headers of 16 and 8 bytes."""
        images = files.read(self.folder, f"{part}-images-idx3-ubyte")
        labels = files.read(self.folder, f"{part}-labels-idx1-ubyte")
        return Images(
            torch.frombuffer(images, dtype=torch.uint8, offset=16).view(-1, self.side * self.side),
            torch.frombuffer(labels, dtype=torch.uint8, offset=8).to(torch.int64),
        )
