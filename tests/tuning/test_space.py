"""Spaces: what may be written, and what is refused by its key."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fae.models.config import Dropout
from fae.tuning.space import Choices, Range, SearchConfig

OTHERS = {
    "trials": 25,
    "timeout": None,
    "sampler": "tpe",
    "pruner": "none",
    "repeats": 5,
    "name": None,
    "storage": None,
}


def config(space: dict[str, Any], **others: Any) -> SearchConfig:
    return TypeAdapter(SearchConfig).validate_python({**OTHERS, **others, "space": space})


def test_keys_may_lie_within_keys_and_null_leaves_one_out() -> None:
    found = config(
        {
            "lr": {"low": 1e-3, "high": 30, "log": True},
            "dropout": None,
            "optimizer": {"momentum": {"low": 0, "high": 0.9}, "nesterov": [True, False]},
            "batch_size": {"choices": [100, 1000]},
        }
    )
    assert found.space == (
        Range(key="lr", low=1e-3, high=30, log=True),
        Range(key="optimizer.momentum", low=0, high=0.9),
        Choices(key="optimizer.nesterov", choices=(True, False)),
        Choices(key="batch_size", choices=(100, 1000)),
    )


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"lr": {"low": 2, "high": 1}}, "search.space.lr: low=2 must be below high=1"),
        ({"lr": {"low": 1, "high": 1}}, "search.space.lr: low=1 must be below high=1"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "search.space.lr: log=true needs low above 0"),
        (
            {"dropout": {"low": 1e-4, "high": 0.5, "log": True}},
            "search.space.dropout: log=true needs low of 0.0008 or more, not 0.0001; dropout "
            "comes in multiples of 1/65536",
        ),
        ({"a": {"b": {"low": "x", "high": 1}}}, "search.space.a.b.low"),
        ({"lr": {"low": 1}}, "search.space.lr.high"),
        ({"lr": {"low": 1, "high": 2, "steps": 3}}, "search.space.lr.steps"),
        ({"lr": []}, "search.space.lr.choices"),
        ({"lr": [1, 1]}, "search.space.lr: the same choice twice"),
        ({"lr": 0.5}, "search.space.lr=0.5: must be a range such as"),
        ({"lr": None}, "search.space: is empty; add a key"),
        ({"lr": {"low": True, "high": 2}}, "search.space.lr.low=True: must be a finite number"),
        ({"lr": {"low": 1, "high": float("inf")}}, "search.space.lr.high=inf: must be a finite"),
    ],
)
def test_what_is_no_space_is_named(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(space)
    assert message in str(refused.value)


def test_any_dropout_in_a_logarithmic_range_can_be_had() -> None:
    (dropout,) = config({"dropout": {"low": 0.0008, "high": 0.9, "log": True}}).space
    assert isinstance(dropout, Range)
    for part in range(1001):
        TypeAdapter(Dropout).validate_python(dropout.at(part / 1000))


def test_a_grid_has_choices_only() -> None:
    assert config({"lr": [0.1, 1]}, sampler="grid").sampler == "grid"
    with pytest.raises(ValidationError, match=r"needs choices, and search\.space\.lr is a range"):
        config({"lr": {"low": 0.1, "high": 1}}, sampler="grid")


def test_places_along_a_range() -> None:
    linear, log = Range(key="a", low=1, high=3), Range(key="a", low=1, high=100, log=True)
    assert (linear.share(1.5), linear.at(0.25), linear.at(1.5)) == (0.25, 1.5, 4)
    assert log.share(10) == pytest.approx(0.5)
    assert log.at(0.5) == pytest.approx(10)


def test_a_group_varies_with_all_that_is_in_it() -> None:
    found = config({"optimizer": ["sgd", "adam"], "lr": [1, 2]})
    assert [found.varies(key) for key in ("optimizer.name", "optimizer.betas", "lr")] == [True] * 3
    assert not found.varies("lr_other")
