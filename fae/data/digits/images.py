"""Images of the handwritten digits."""

import hashlib
from importlib.metadata import version

import torch

from fae.data.images import Images
from fae.errors import DataError


class Digits:
    """The 1,797 handwritten digits (Alpaydin and Kaynak 1998) that scikit-learn ships.

    Pixels have 17 levels, 0 to 16, which become the nearest of 0 to 255: 0 stays 0, 8 (127.5)
    becomes 128, 16 becomes 255. Each is then within 0.002 of its share of 16.

    Args:
        first: how many of them, in their order, are not for testing.
    """

    side = 8
    origin = "https://archive.ics.uci.edu/dataset/80"
    digest = "a19cb3d96bba7dea"
    classes = tuple("0123456789")
    folder = None

    def __init__(self, first: int) -> None:
        self.first = first

    def missing(self) -> str:
        return ""

    def verify(self) -> None:
        """Check the installed digits.

        Raises:
            DataError: they are not the expected ones.
        """
        images = self._read()
        content = torch.cat([images.pixels.flatten(), images.labels.to(torch.uint8)])
        if hashlib.sha256(content.numpy().tobytes()).hexdigest()[:16] != self.digest:
            raise DataError(
                f"data=digits: the digits of scikit-learn {version('scikit-learn')} are not those "
                "that fae expects; install the tested version: pip install -c constraints.txt -e ."
            )

    def training(self) -> Images:
        return self._read()[: self.first]

    def test(self) -> Images:
        return self._read()[self.first :]

    def _read(self) -> Images:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = torch.from_numpy(digits.data).mul(255 / 16).round().to(torch.uint8)
        return Images(pixels, torch.from_numpy(digits.target).to(torch.int64))
