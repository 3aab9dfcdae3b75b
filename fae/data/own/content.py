"""The images of a user's files, read into memory."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

WITHOUT_CLASSES = "image"
"""Class of all images where there are no classes."""


@dataclass(frozen=True)
class Content:
    """Labelled images.

    Attributes:
        pixels: (images, channels * side * side), channel first.
        labels: (images,), from 0.
        classes: names of the classes, by label.
        test: how many of the images, the last ones, are for testing; None if that is left to
            chance.
        remarks: what a user should know of the files, one sentence each.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    test: int | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """64 bits of a SHA-256 of all images with their classes."""
        about = [self.classes, self.pixels.shape, self.test]
        found = hashlib.sha256(json.dumps(about).encode())
        found.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        found.update(np.ascontiguousarray(self.pixels).data)
        return found.hexdigest()[:16]
