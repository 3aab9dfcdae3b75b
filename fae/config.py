"""Configuration schema: the settings of a run, their types and bounds.

The values lie in ``conf/``, one folder per group; nothing here has a default. A group's settings
are defined next to the code that they configure, and joined here. Light at import (no torch), so
that ``--help`` is quick and a wrong value is reported at once; ``fae.cli.compose`` turns a command
line into a ``Config``.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from fae.data.catalogue import DATA_SETS
from fae.data.config import DataConfig
from fae.errors import ConfigError
from fae.models.catalogue import NETWORKS
from fae.models.config import Dropout, ModelConfig
from fae.runtime.fields import STRICT, Count, CountOrAuto, Rate, Seed, Switch, Width
from fae.tracking.config import TrackingConfig
from fae.training.config import TrainerConfig
from fae.training.optimizers import OPTIMIZERS, OptimizerConfig

NOT_IN_FINGERPRINT = {
    "repeats",
    "repeats_max",
    "sweep",
    "tracking",
    "report",
    "data.root",
    "data.skip_broken",
    "trainer.profiler",
    "trainer.detect_anomaly",
    "trainer.emulate_bf16",
    "trainer.kernels",
}
"""Keys and groups that do not affect the trained weights."""
SHORT = {
    "data.name": "data",
    "data.split_seed": "split_seed",
    "model.name": "model",
    "optimizer.name": "optimizer",
    "optimizer.schedule": "schedule",
    "trainer.accelerator": "accelerator",
    "trainer.precision": "precision",
}
"""Parameters of runs whose names are not their keys."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VerdictConfig:
    """How a sweep's test errors are compared with the paper's."""

    tolerance: Annotated[float, Field(strict=True, gt=0, lt=1)]
    """A test error is reproduced if its whole 95 % interval is within this share of the paper's."""
    fail_unless: Literal["reproduced"] | None
    """reproduced: exit with code 1 unless every row has that verdict; null: ignore verdicts."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SweepConfig:
    """How a sweep treats stored runs, its number of runs, and failures."""

    rerun: Switch
    """Repeat all runs, even those that are stored."""
    retry_failed: Switch
    """Repeat failed runs; otherwise only interrupted runs are resumed."""
    plan_only: Switch
    """Dry run: show which runs would start, and start none."""
    detach: Switch
    """Submit the runs, and leave them to a launcher that has a queue, such as slurm."""
    max_jobs: Count
    """Maximum number of runs of a sweep; guards against a range with a zero too many."""
    on_failure: Literal["continue", "stop"]
    """What to do with the remaining runs of a sweep when one fails. With stop they start one at a
    time, or in batches of ``hydra.sweeper.max_batch_size``, whatever the launcher."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """The settings of a training; the part of a stored run's configuration that is read again."""

    hidden: Width
    """Units of the hidden layer, the paper's n."""
    seed: Seed
    """Seed of the initial weights, the order of images, and dropout."""
    epochs: Count
    """Passes over the training images."""
    lr: Rate
    """Learning rate; the default depends on the optimizer."""
    dropout: Dropout
    """Probability with which a hidden unit is dropped; rounded to a multiple of 1/65536, and
    rejected if that changes it by more than 1 %."""
    batch_size: Count
    """Images per batch; the last batch of an epoch may be smaller."""
    data: Annotated[DataConfig, DATA_SETS]
    """The images."""
    model: Annotated[ModelConfig, NETWORKS]
    """The network."""
    optimizer: Annotated[OptimizerConfig, OPTIMIZERS]
    """How the weights are updated."""
    trainer: TrainerConfig
    """How a run is computed."""

    @model_validator(mode="after")
    def _fits_the_images(self) -> "TrainingConfig":
        if self.batch_size > self.data.train:
            raise ConfigError(
                f"batch_size={self.batch_size}: must be at most data.train={self.data.train}"
            )
        self.model.check(self.data.pixels, self.hidden)
        return self

    def plain(self) -> dict[str, Any]:
        """The configuration as plain values that YAML and JSON can hold."""
        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return values


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config(TrainingConfig):
    """Complete configuration of one run."""

    repeats: CountOrAuto
    """Number of seeds of each configuration: ``seed``, ``seed + 1`` and so on. More than one make
    a sweep, in whose runs ``repeats`` is 1. auto: as many as it takes to decide every verdict or,
    without published errors, every difference from the first configuration."""
    repeats_max: Annotated[int, Field(strict=True, ge=3, le=1000)]
    """Largest number of seeds of each configuration with ``repeats=auto``."""
    tracking: TrackingConfig
    """Where runs are stored."""
    report: VerdictConfig
    """How test errors are compared with the paper's."""
    sweep: SweepConfig
    """What becomes of stored runs, and of the runs of a sweep."""

    @model_validator(mode="after")
    def _repeats_fit(self) -> "Config":
        if self.repeats != "auto" and self.repeats > self.sweep.max_jobs:
            raise ConfigError(
                f"repeats={self.repeats}: must be at most sweep.max_jobs={self.sweep.max_jobs}"
            )
        return self

    def parameters(self) -> dict[str, int | float | str]:
        """The parameters logged with a run: all settings that affect the weights and are in use."""
        return self.as_parameters(fingerprint_fields(self))

    def as_parameters(self, settings: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Settings by their keys as parameters of a run, except those that are not in use.

        In use are the dials, the choices of the groups, and what is neither null, false nor 0.
        """
        return {
            name: shown(value)
            for key, value in settings.items()
            if "." not in (name := self.parameter_name(key)) or value
        }

    def parameter_name(self, key: str) -> str:
        """What the parameter of a run is called that has the setting of a key."""
        choices = {f"model.{choice}": choice for choice in self.model.choices}
        return {**SHORT, **choices}.get(key, key)


def shown(value: Any) -> int | float | str:
    """A setting's value as a run's parameter: as on a command line, without blanks."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return value
    return json.dumps(value, separators=(",", ":"), default=str).strip('"')


def fingerprint_fields(settings: Any, group: str = "") -> dict[str, Any]:
    """The settings that the trained weights depend on, by dotted key.

    Keys at the default of their settings class are left out; see ``fae.runs.fingerprint``.

    Args:
        settings: a configuration, or a group of one.
        group: precedes each key.
    """
    found: dict[str, Any] = {}
    for field in fields(settings):
        key, value = group + field.name, getattr(settings, field.name)
        if key not in NOT_IN_FINGERPRINT and value != field.default:
            is_group = is_dataclass(value)
            found |= fingerprint_fields(value, f"{key}.") if is_group else {key: value}
    return found
