"""Two runs compared bit for bit: what each computed, and how far apart that is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fae.runs.stored import TrainedRun

OF_EPOCHS = ("train/loss", "train/mse", "val/mse")
"""Metrics of each epoch."""
TEST, WEIGHTS = "test/mse", "weights"
QUANTITIES = (*OF_EPOCHS, TEST, WEIGHTS)
"""All that is compared."""


@dataclass(frozen=True)
class Computed:
    """What a run computed.

    Attributes:
        epochs: the metrics after each epoch, at least ``OF_EPOCHS``.
        test: ``test/mse``.
        weights: that were tested, by their names; float32, on the CPU.
    """

    epochs: Sequence[Mapping[str, float]]
    test: float
    weights: Mapping[str, Tensor]

    @staticmethod
    def by(run: TrainedRun) -> "Computed":
        """What a stored run computed.

        Raises:
            UnreadableError: some of it is gone or damaged.
        """
        run.check()
        epochs = run.archive.epochs(run, OF_EPOCHS)
        return Computed(epochs, run.test_mse, run.network.state_dict())


@dataclass(frozen=True)
class Deviation:
    """How far a quantity is from what it was.

    Attributes:
        quantity: one of ``QUANTITIES``.
        epoch: the first, from 1, after which it differs; None of what is there at the end only.
        largest: absolute difference, over all epochs that both runs have, or all weights.
        relative: of a metric, the largest difference as a share of the former value; of weights,
            ``largest`` as a share of the largest former weight.
    """

    quantity: str
    epoch: int | None
    largest: float
    relative: float

    def __str__(self) -> str:
        return f"{self.largest:.1e} ({self.relative:.1e})"


def deviations(then: Computed, now: Computed) -> list[Deviation]:
    """The quantities that are not the same to the last bit; none of identical runs.

    Args:
        then, now: of networks of the same shapes.
    """
    of_epochs = (_of_metric(metric, then.epochs, now.epochs) for metric in OF_EPOCHS)
    found = [*of_epochs, _of_test(then.test, now.test), _of_weights(then.weights, now.weights)]
    return [deviation for deviation in found if deviation]


def verdict(found: Iterable[Deviation]) -> str:
    """``identical``, ``differs from epoch 2 on``, or ``differs in test/mse and weights``."""
    found = [*found]
    if not found:
        return "identical"
    if epochs := [deviation.epoch for deviation in found if deviation.epoch]:
        return f"differs from epoch {min(epochs)} on"
    return f"differs in {' and '.join(deviation.quantity for deviation in found)}"


def _of_metric(
    metric: str, then: Sequence[Mapping[str, float]], now: Sequence[Mapping[str, float]]
) -> Deviation | None:
    pairs = [(a[metric], b[metric]) for a, b in zip(then, now, strict=False)]
    different = [epoch for epoch, (a, b) in enumerate(pairs, 1) if a != b]
    if len(then) != len(now):
        different.append(len(pairs) + 1)
    if not different:
        return None
    largest = max((abs(b - a) for a, b in pairs), default=0.0)
    relative = max((_share(abs(b - a), abs(a)) for a, b in pairs), default=0.0)
    return Deviation(metric, different[0], largest, relative)


def _of_test(then: float, now: float) -> Deviation | None:
    difference = abs(now - then)
    return Deviation(TEST, None, difference, _share(difference, then)) if now != then else None


def _of_weights(then: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> Deviation | None:
    if all(_bits(then[name]).equal(_bits(now[name])) for name in then):
        return None
    largest = max(float((now[name].double() - then[name].double()).abs().max()) for name in then)
    return Deviation(
        WEIGHTS, None, largest, _share(largest, max(float(w.abs().max()) for w in then.values()))
    )


def _bits(weight: Tensor) -> Tensor:
    """By which also two zeros of different signs are told apart."""
    return weight.contiguous().view(torch.int32)


def _share(difference: float, of: float) -> float:
    if not difference:
        return 0.0
    return difference / of if of else math.inf
