"""What a finished run hands back, small enough to travel between processes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Panel:
    """Some test images, one of each class at least, and what a network made of them.

    Attributes:
        originals, reconstructions: (images, pixels), float32; originals in [0, 1].
        errors: (images,), mean squared error of each image.
        classes: (images,), what each image shows.
    """

    originals: Floats
    reconstructions: Floats
    errors: Floats
    classes: list[str]


@dataclass(frozen=True)
class Result:
    """One finished run.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        run_id: of the run in the store.
        parameters: the run's dials and choices.
        epochs: an entry an epoch, with ``train/loss``, ``train/mse`` and ``val/mse``.
        tested_epoch: the epoch, from 1, whose weights were tested and logged.
        metrics: ``test/mse``, ``hidden/dead``, ``time/fit_s``, ``time/total_s``.
        panel: reconstructions of test images.
        lacking: what the store lacks of the run, and how it gets that; nothing where it has all.
    """

    name: str
    run_id: str
    parameters: dict[str, int | float | str]
    epochs: list[dict[str, float]]
    tested_epoch: int
    metrics: dict[str, float]
    panel: Panel
    lacking: str = ""

    @property
    def final(self) -> dict[str, float]:
        """The tested epoch's metrics and those of the end."""
        return {**self.epochs[self.tested_epoch - 1], **self.metrics}
