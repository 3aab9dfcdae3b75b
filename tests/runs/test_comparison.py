"""Two runs compared bit for bit, with exact values."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fae.runs.comparison import Computed, Deviation, deviations, verdict

EPOCHS = [{"train/loss": 4.0, "train/mse": 2.0, "val/mse": 1.0} for _ in range(3)]
WEIGHTS = {"encoder.weight": torch.tensor([[1.0, -4.0]]), "encoder.bias": torch.tensor([0.0])}
THEN = Computed(EPOCHS, 0.5, WEIGHTS)


def changed(epoch: int, **metrics: float) -> Computed:
    """With other metrics of an epoch, from 1."""
    others = {name.replace("_", "/"): value for name, value in metrics.items()}
    epochs = [{**EPOCHS[0], **others} if n == epoch else {**EPOCHS[0]} for n in (1, 2, 3)]
    return replace(THEN, epochs=epochs)


def weights(**others: Tensor) -> Computed:
    return replace(THEN, weights={**WEIGHTS, **{f"encoder.{n}": w for n, w in others.items()}})


def test_the_same_numbers_are_identical() -> None:
    same = Computed(
        [{**epoch} for epoch in EPOCHS], 0.5, {k: w.clone() for k, w in WEIGHTS.items()}
    )
    assert deviations(THEN, same) == []
    assert verdict([]) == "identical"


@pytest.mark.parametrize(
    ("now", "expected", "words"),
    [
        (changed(2, val_mse=1.25), Deviation("val/mse", 2, 0.25, 0.25), "from epoch 2 on"),
        (changed(1, train_loss=3.0), Deviation("train/loss", 1, 1.0, 0.25), "from epoch 1 on"),
        (changed(3, train_mse=2.5), Deviation("train/mse", 3, 0.5, 0.25), "from epoch 3 on"),
        (replace(THEN, test=0.375), Deviation("test/mse", None, 0.125, 0.25), "in test/mse"),
        (
            weights(bias=torch.tensor([-1.0])),
            Deviation("weights", None, 1.0, 0.25),
            "in weights",
        ),
        (
            weights(weight=torch.tensor([[1.0, -2.0]])),
            Deviation("weights", None, 2.0, 0.5),
            "in weights",
        ),
    ],
)
def test_what_differs_is_told_with_the_first_epoch_and_the_largest_difference(
    now: Computed, expected: Deviation, words: str
) -> None:
    assert deviations(THEN, now) == [expected]
    assert verdict([expected]) == f"differs {words}"


def test_a_last_bit_is_a_difference() -> None:
    after = math.nextafter(1.0, 2.0)
    assert deviations(THEN, changed(3, val_mse=after)) == [
        Deviation("val/mse", 3, 2.0**-52, 2.0**-52)
    ]
    weight = torch.tensor([[1.0, -4.0]])
    assert deviations(THEN, weights(weight=weight.nextafter(torch.tensor(-5.0)))) == [
        Deviation("weights", None, 2.0**-21, 2.0**-23)
    ]


def test_zeros_of_different_signs_are_different_bits() -> None:
    assert deviations(THEN, weights(bias=torch.tensor([-0.0]))) == [
        Deviation("weights", None, 0.0, 0.0)
    ]


@pytest.mark.parametrize("shorter", [True, False])
def test_a_run_that_stops_at_another_epoch_differs_from_the_first_that_one_lacks(
    shorter: bool,
) -> None:
    pair = THEN, replace(THEN, epochs=EPOCHS[:2])
    found = deviations(*(pair if shorter else pair[::-1]))
    assert [(d.quantity, d.epoch, d.largest) for d in found] == [
        ("train/loss", 3, 0.0),
        ("train/mse", 3, 0.0),
        ("val/mse", 3, 0.0),
    ]


def test_the_first_epoch_is_that_of_any_metric() -> None:
    found: list[Any] = [Deviation("train/mse", 3, 1, 1), Deviation("val/mse", 2, 1, 1)]
    assert verdict([*found, Deviation("weights", None, 1, 1)]) == "differs from epoch 2 on"
    end = [Deviation("test/mse", None, 1, 1), Deviation("weights", None, 1, 1)]
    assert verdict(end) == "differs in test/mse and weights"
