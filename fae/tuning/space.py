"""Settings of a search: the search space, and how the best values are looked for.

The values lie in ``conf/search/``. Light at import (no Optuna), so that a wrong value is reported
at once.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from fae.errors import ConfigError
from fae.models.config import DROPOUT_STEPS
from fae.runtime.fields import STRICT, Count, Name, Switch
from fae.tracking import address


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PydanticCustomError("number", "must be a finite number")
    return value


MIN_LOG_DROPOUT = 0.0008
"""Lowest probability from which on all are within 1 % of a multiple of 1/65536."""
Number = Annotated[int | float, BeforeValidator(_number)]
Choice = bool | int | float | str | None
Url = Annotated[str, Field(strict=True, min_length=1), AfterValidator(address.of_study)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """Numbers between two bounds; integers if the key's values are integers."""

    key: str
    low: Number
    high: Number
    log: Switch = False
    """Whether to sample uniformly in the logarithm."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        key = f"search.space.{self.key}"
        if self.low >= self.high:
            raise ConfigError(f"{key}: low={self.low} must be below high={self.high}")
        if self.log and self.low <= 0:
            raise ConfigError(f"{key}: log=true needs low above 0, not {self.low}")
        if self.log and self.key == "dropout" and self.low < MIN_LOG_DROPOUT:
            raise ConfigError(
                f"{key}: log=true needs low of {MIN_LOG_DROPOUT} or more, not "
                f"{self.low}; dropout comes in multiples of 1/{DROPOUT_STEPS}"
            )
        return self

    @property
    def ends(self) -> tuple[Choice, ...]:
        """Values with which the configuration is checked."""
        return self.low, self.high

    def share(self, value: float) -> float:
        """Position of a value in the range, from 0 (low) to 1 (high)."""
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))

    def at(self, share: float) -> float:
        """The value at a position in the range; outside of the range below 0 and above 1."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Choices:
    """Categorical choices."""

    key: str
    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_each_once(self) -> "Choices":
        if len(set(map(repr, self.choices))) < len(self.choices):
            raise ConfigError(f"search.space.{self.key}: the same choice twice")
        return self

    @property
    def ends(self) -> tuple[Choice, ...]:
        return self.choices

    def __str__(self) -> str:
        return ", ".join(map(str, self.choices))


Dimension = Range | Choices


def _dimensions(space: object) -> object:
    """The dimensions of a space that is written as nested keys."""
    return tuple(_within("", space)) if isinstance(space, Mapping) else space


def _within(key: str, value: object) -> Iterator[Dimension]:
    if isinstance(value, Mapping) and value.keys() & {"low", "high", "choices"}:
        kind = Choices if "choices" in value else Range
        try:
            yield kind(key=key, **value)
        except ValidationError as error:
            raise ConfigError(*(_problem(key, detail) for detail in error.errors())) from None
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _within(f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, list | tuple):
        yield from _within(key, {"choices": value})
    elif value is not None:
        raise ConfigError(
            f"search.space.{key}={value}: must be a range such as {{low: 0, high: 0.5}}, a list of "
            "choices, or null"
        )


def _problem(key: str, detail: Mapping[str, Any]) -> str:
    """Message for one of pydantic's errors in a dimension."""
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    part = ".".join(map(str, detail["loc"]))
    if detail["type"] == "unexpected_keyword_argument":
        return f"search.space.{key}.{part}: no such key; a range has low, high and log"
    return f"search.space.{key}.{part}={detail['input']}: {detail['msg']}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchConfig:
    """Search for the values with the lowest ``val/mse``."""

    space: Annotated[
        tuple[Dimension, ...],
        BeforeValidator(_dimensions),
        Field(title="range or list of choices, for each key"),
    ]
    """Keys that vary, such as ``search.space.lr={low: 1e-3, high: 10, log: true}`` or, with a plus
    for a key that is not there yet, ``+search.space.batch_size=[100,1000]``; null: the key does not
    vary."""
    trials: Count
    """Total number of trials of the study, including those of earlier commands and other
    processes."""
    timeout: Annotated[float, Field(strict=True, gt=0)] | None
    """Seconds after which no new trial is started; null: no limit."""
    sampler: Literal["tpe", "random", "grid", "gp"]
    """tpe: tree-structured Parzen estimator; gp: Gaussian process."""
    pruner: Literal["successive_halving", "hyperband", "none"]
    """Decides by ``val/mse`` after each epoch which trials end early."""
    repeats: Count
    """Number of fresh seeds that the best configuration is trained with at the end."""
    name: Name | None
    """Name of the study; an existing study is resumed. null: made from the overrides."""
    storage: Url | None
    """URL of Optuna's database, such as ``sqlite:///FILE`` or ``postgresql://SERVER/NAME``; null:
    the file ``optuna.db`` next to the store or, if the store is no file, in the working
    directory."""

    def varies(self, key: str) -> bool:
        """Whether a key of a run's configuration is in the space, or in a group that is."""
        return any(key == dim.key or key.startswith(f"{dim.key}.") for dim in self.space)

    @model_validator(mode="after")
    def _can_be_searched(self) -> "SearchConfig":
        if not self.space:
            raise ConfigError(
                "search.space: is empty; add a key, such as "
                "'+search.space.dropout={low: 0, high: 0.5}'"
            )
        ranges = [dimension.key for dimension in self.space if isinstance(dimension, Range)]
        if self.sampler == "grid" and ranges:
            raise ConfigError(
                f"search.sampler=grid: needs choices, and search.space.{ranges[0]} is a range"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class SearchArguments:
    """Arguments of ``python -m fae.search`` in addition to the configuration of a run."""

    search: SearchConfig
    """What is varied, and how the best values are looked for."""
