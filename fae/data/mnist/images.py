"""The images of MNIST."""

import torch

from fae.data.images import Images
from fae.data.mnist.files import files
from fae.data.published import PublishedDataSet
from fae.runtime.digest import short_digest


class MNIST(PublishedDataSet):
    """MNIST (LeCun, Cortes and Burges 1998), from the files in a folder.

    Packed files are not unpacked on disk, so a read-only folder suffices.
    """

    side = 28
    origin = "http://yann.lecun.com/exdb/mnist/"
    files = files
    digest = short_digest("".join(file.sha256 for file in files.FILES.values()))
    classes = tuple("0123456789")

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
