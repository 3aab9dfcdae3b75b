"""Diagnosis of a run's curves, in numbers, tags and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fae.runtime.formatting import format_share

WINDOW = 6
"""Epochs at the end of a run over which its slope is computed."""
MOVING = 0.001
"""A validation error that changes by a larger share per epoch has not converged."""
GAP = 0.05
"""Training and validation errors that differ by a smaller share are almost identical."""


@dataclass(frozen=True)
class Diagnosis:
    """What a run's curves show.

    Attributes:
        epochs: number of epochs.
        best_epoch: the first, from 1, with the least ``val/mse``.
        slope: relative change of ``val/mse`` per epoch at the end, by least squares on its
            logarithm over the last 6 epochs; None where there are fewer than 3.
        gap: ``val/mse`` above ``train/mse`` after the last epoch, as a share of the latter.
        largest_gap: the largest absolute value of this gap after any epoch.
        diverged: whether ``val/mse`` was higher after the last epoch than after the first.
        dead: hidden units that give the same output for every training image; None where
            they were not counted.
    """

    epochs: int
    best_epoch: int
    slope: float | None
    gap: float
    largest_gap: float
    diverged: bool
    dead: int | None

    @property
    def converged(self) -> bool | None:
        """Whether the validation error had converged; None if that cannot be told."""
        return None if self.slope is None else not self.diverged and abs(self.slope) <= MOVING

    @property
    def moving(self) -> str:
        """``falling`` or ``rising``: the trend of the validation error at the end."""
        return "rising" if (self.slope or 0) > 0 else "falling"

    @property
    def overfitted(self) -> bool:
        """Whether the validation error ended clearly above the training error."""
        return self.gap > GAP

    def tags(self) -> dict[str, str]:
        """Tags by which the MLflow UI can filter runs."""
        converged = {None: "unknown", True: "true", False: "false"}[self.converged]
        return {
            "fae.converged": converged,
            "fae.diverged": str(self.diverged).lower(),
            "fae.overfitted": str(self.overfitted).lower(),
            "fae.best_epoch": f"{self.best_epoch} of {self.epochs}",
            "fae.curves": "; ".join(self.words()),
        }

    def words(self) -> list[str]:
        """One phrase per finding."""
        phrases = []
        if self.diverged:
            phrases.append("diverged: ends above its first epoch")
        elif self.converged is None:
            phrases.append(f"{self.epochs} epochs are too few to tell whether it converged")
        elif not self.converged:
            change = format_share(abs(self.slope or 0))
            phrases.append(f"still {self.moving} at the last epoch, by {change} per epoch")
        else:
            phrases.append("converged")
        if self.overfitted:
            phrases.append(f"overfitting: validation {format_share(self.gap)} above training")
        if self.best_epoch < self.epochs:
            phrases.append(f"best epoch is {self.best_epoch} of {self.epochs}")
        if self.dead:
            phrases.append(f"{self.dead} dead hidden units")
        return phrases


def diagnose(epochs: Sequence[Mapping[str, float]], dead: int | None = None) -> Diagnosis:
    """Diagnose the curves of a run.

    Args:
        epochs: one entry per epoch, with ``train/mse`` and ``val/mse``; at least one.
        dead: hidden units that never change, where counted.
    """
    train = np.array([epoch["train/mse"] for epoch in epochs])
    val = np.array([epoch["val/mse"] for epoch in epochs])
    end = np.log(val[-WINDOW:])
    fitted = np.polyfit(np.arange(len(end)), end, 1) if len(end) >= 3 else None
    gaps = val / train - 1
    return Diagnosis(
        epochs=len(epochs),
        best_epoch=int(val.argmin()) + 1,
        slope=None if fitted is None else float(np.expm1(fitted[0])),
        gap=float(gaps[-1]),
        largest_gap=float(np.abs(gaps).max()),
        diverged=bool(val[-1] > val[0]),
        dead=dead,
    )
