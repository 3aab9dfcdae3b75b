"""The batches in the archive of CIFAR-10, which are pickles of Python 2."""

import io
import pickle
import tarfile
from collections.abc import Collection
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fae.errors import DataError

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # its name of then
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): lambda name, *_: np.dtype(name),  # NumPy warns of 0 and 1 for bools
}
"""All that the pickle of a batch may name: what makes an array, in the NumPy of today."""


class Batch(TypedDict):
    """A part of the data set, as far as it is used."""

    data: NDArray[np.uint8]
    """(images, 3072): the red, the green and the blue pixels of each image."""
    labels: list[int]


def read_batches(archive: bytes | bytearray, names: Collection[str]) -> list[Batch]:
    """Some batches of an archive, in the order of their names.

    Args:
        archive: content of the file, checked.
        names: of the batches, such as ``test_batch``.

    Raises:
        DataError: a batch would run other code than what makes an array.
    """
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|gz") as members:
        for member in members:
            name = member.name.rpartition("/")[2]
            if name in names and (file := members.extractfile(member)):
                batch: Batch = _Unpickler(file, encoding="latin1").load()
                found[name] = batch
    return [found[name] for name in names]


class _Unpickler(pickle.Unpickler):
    """Makes arrays, lists, dictionaries, text and numbers."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise DataError(f"a batch of CIFAR-10 names {module}.{name}: not loaded") from None
