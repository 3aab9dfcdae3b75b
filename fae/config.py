"""The configuration of a run: the dials, and the settings of each room.

The values lie in ``conf/``, one folder per group; nothing here has a default. A group's settings
stand beside the code that they configure, and are joined here. Light (no torch), so that ``--help``
and a wrong value are answered at once; ``fae.cli.compose`` turns a command line into a ``Config``.
"""

from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from fae.data.catalogue import DATA_SETS
from fae.data.config import DataConfig
from fae.errors import ConfigError
from fae.models.catalogue import NETWORKS
from fae.models.config import Dropout, ModelConfig
from fae.runtime.fields import STRICT, Count, Rate, Seed, Switch, Width
from fae.tracking.config import TrackingConfig
from fae.training.config import TrainerConfig
from fae.training.optimizers import OPTIMIZERS, OptimizerConfig

NOT_IN_FINGERPRINT = {
    "repeats",
    "sweep",
    "tracking",
    "report",
    "data.root",
    "trainer.profiler",
    "trainer.detect_anomaly",
}
"""What the trained weights do not depend on."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VerdictConfig:
    """How a sweep's numbers are judged."""

    tolerance: Annotated[float, Field(strict=True, gt=0, lt=1)]
    """A test error is reproduced where its whole 95 % interval lies within this share of the
    paper's."""
    fail_unless: Literal["reproduced"] | None
    """reproduced: exit code 1 unless that is the verdict on every row; null: never for that."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SweepConfig:
    """What becomes of runs that the store already has, of many, and of failures."""

    rerun: Switch
    """Run everything anew, whatever the store has."""
    retry_failed: Switch
    """Run anew what failed; otherwise only what was interrupted goes on."""
    plan_only: Switch
    """Show what would be run, and run nothing."""
    max_jobs: Count
    """Runs of a sweep, at most: a range with a zero too many ends before it begins."""
    on_failure: Literal["continue", "stop"]
    """What the other runs of a sweep do when one fails. With stop they begin one by one, or by
    ``hydra.sweeper.max_batch_size``, whatever the launcher."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """What one run trains, on what and how; all that is read of a stored run's configuration."""

    hidden: Width
    """Units of the hidden layer, the paper's n."""
    seed: Seed
    """Seed of initialisation, order and dropout."""
    epochs: Count
    lr: Rate
    """Learning rate; each optimizer brings its own."""
    dropout: Dropout
    """Probability with which a hidden unit is dropped; rounded to a multiple of 1/65536, and
    refused where that changes it by more than 1 %."""
    batch_size: Count
    """Images in a minibatch."""
    data: Annotated[DataConfig, DATA_SETS]
    model: Annotated[ModelConfig, NETWORKS]
    optimizer: Annotated[OptimizerConfig, OPTIMIZERS]
    trainer: TrainerConfig

    @model_validator(mode="after")
    def _batch_fits(self) -> "TrainingConfig":
        if self.batch_size > self.data.train:
            raise ConfigError(
                f"batch_size={self.batch_size}: must be at most data.train={self.data.train}"
            )
        return self

    @model_validator(mode="after")
    def _network_fits(self) -> "TrainingConfig":
        self.model.check(self.data.pixels, self.hidden)
        return self

    def plain(self) -> dict[str, Any]:
        """The configuration as plain values, ready for YAML or JSON."""
        values: dict[str, Any] = asdict(self)
        if "root" in values["data"]:
            values["data"]["root"] = str(values["data"]["root"])
        return values


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config(TrainingConfig):
    """Complete configuration of one run."""

    repeats: Count
    """Seeds of each configuration: ``seed``, ``seed + 1`` and so on. More than one make a sweep,
    in whose runs it is 1."""
    tracking: TrackingConfig
    report: VerdictConfig
    sweep: SweepConfig

    @model_validator(mode="after")
    def _repeats_fit(self) -> "Config":
        if self.repeats > self.sweep.max_jobs:
            raise ConfigError(
                f"repeats={self.repeats}: must be at most sweep.max_jobs={self.sweep.max_jobs}"
            )
        return self

    def parameters(self) -> dict[str, int | float | str]:
        """What people compare runs by: the dials and the choices of the groups."""
        return {
            "hidden": self.hidden,
            "seed": self.seed,
            "epochs": self.epochs,
            "lr": self.lr,
            "dropout": self.dropout,
            "batch_size": self.batch_size,
            "data": self.data.name,
            "split_seed": self.data.split_seed,
            "model": self.model.name,
            **self.model.choices,
            "optimizer": self.optimizer.name,
            "schedule": self.optimizer.schedule,
            "accelerator": self.trainer.accelerator,
            "precision": self.trainer.precision,
        }


def fingerprint_fields(config: TrainingConfig) -> dict[str, Any]:
    """The settings that the trained weights depend on, by dotted key.

    A key that is at the default of its settings class is left out; see ``fae.runs.fingerprint``.
    """
    return dict(_settings(config))


def _settings(settings: Any, group: str = "") -> Iterator[tuple[str, Any]]:
    """All settings that have an effect and are not at their default, by dotted key."""
    for field in fields(settings):
        key, value = group + field.name, getattr(settings, field.name)
        if key in NOT_IN_FINGERPRINT or value == field.default:
            continue
        if is_dataclass(value):
            yield from _settings(value, f"{key}.")
        else:
            yield key, value
