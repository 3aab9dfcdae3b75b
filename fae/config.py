"""What a run can be told: the schema of ``conf/``, its bounds and its meanings.

The values live in ``conf/``, one folder a group; nothing here has a default.
``fae.cli.compose`` turns a command line into a ``Config``. The module stays light
(no torch), so that ``--help`` and a wrong value are answered at once.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from fae.data.fashion_mnist import files
from fae.errors import ConfigError
from fae.tracking import address


def _found_if_unset(path: object) -> object:
    return files.root() if path in (None, "") else path


def _as_list(names: object) -> object:
    return [] if names is None else names if isinstance(names, list | tuple) else [str(names)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "Input should be printable text")
    return text


def _without_flaw(path: Path) -> Path:
    if flaw := address.flaw(path):
        raise PydanticCustomError("flaw", "{flaw}", {"flaw": flaw})
    return path


def _can_be_had(dropout: float) -> float:
    """A probability of dropout that is a multiple of 1/65536, give or take 1 % of it.

    Or 1 % of the probability that a unit is kept, where that is the smaller one.
    """
    steps = dropout * DROPOUT_STEPS
    if abs(steps - round(steps)) > 0.01 * min(steps, DROPOUT_STEPS - steps):
        nearest = [step for step in (floor(steps), ceil(steps)) if step < DROPOUT_STEPS]
        possible = " or ".join(f"{step / DROPOUT_STEPS:.8g}" for step in nearest)
        raise PydanticCustomError(
            "steps",
            "Input should be within 1 % of a multiple of 1/65536, such as {possible}",
            {"possible": possible},
        )
    return dropout


Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Width = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Rate = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Dropout = Annotated[Share, AfterValidator(_can_be_had)]
Penalty = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Switch = Annotated[bool, Field(strict=True)]
Name = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=250),
    AfterValidator(_printable),
]
OwnFolder = Annotated[Path, AfterValidator(address.absolute), AfterValidator(_without_flaw)]
DataFolder = Annotated[OwnFolder, BeforeValidator(_found_if_unset)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "clamp", "identity"]
"""clamp: to [0, 1], where pixels lie."""
Schedule = Literal["constant", "cosine", "one_cycle"]

MOST_PIXELS = 1_000_000_000
"""Of all images of a data set: 18 times as many as Fashion-MNIST has."""

DROPOUT_STEPS = 2**16
"""Probabilities that dropout can have; see ``fae.models.layers.dropout``."""
DIGITS = 1500
"""Images of scikit-learn's digits that are not tested on; they come first."""

STRICT = ConfigDict(extra="forbid")

WITHOUT_EFFECT = {
    "repeats",
    "sweep",
    "tracking",
    "report",
    "data.root",
    "trainer.profiler",
    "trainer.detect_anomaly",
}
"""What the trained weights do not depend on."""


@dataclass(frozen=True, kw_only=True)
class DataRoot:
    """Where data sets lie on this machine, whatever a run was told on its own."""

    root: DataFolder


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FashionMNISTConfig:
    """The 70,000 images of Fashion-MNIST: 60,000 to train and validate on, 10,000 to test on."""

    name: Literal["fashion_mnist"]
    root: DataFolder
    """Folder that holds the four files in ``FashionMNIST/raw``, packed (``.gz``) or not; what it
    lacks is downloaded into it. null: the first of ``data``, ``../data`` and ``../shared/data``
    that holds them all, or else a folder in the user's cache."""
    train: Count
    """Images to train on, drawn at random from the 60,000 of the training file."""
    val: Count
    """Images to validate on: the others of the training file."""
    split_seed: Seed
    """Seed of the split; its own, so that runs with another ``seed`` share it."""

    @property
    def pixels(self) -> int:
        """Of an image."""
        return 784

    @model_validator(mode="after")
    def _splits_the_training_file(self) -> "FashionMNISTConfig":
        _check_split(self.train, self.val, 60_000, "images of the training file")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DigitsConfig:
    """The 1,797 handwritten digits of scikit-learn: 1,500 to train and validate on, 297 to test
    on."""

    name: Literal["digits"]
    train: Count
    """Images to train on, drawn at random from the first 1,500."""
    val: Count
    """Images to validate on: the others of the first 1,500."""
    split_seed: Seed
    """As for Fashion-MNIST."""

    @property
    def pixels(self) -> int:
        """Of an image."""
        return 64

    @model_validator(mode="after")
    def _splits_the_first(self) -> "DigitsConfig":
        _check_split(self.train, self.val, DIGITS, "digits that are not tested on")
        return self


def _check_split(train: int, val: int, images: int, which: str) -> None:
    if train + val != images:
        raise ConfigError(
            f"data.train={train} and data.val={val}: must add up to the {images} {which}, "
            f"not to {train + val}"
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SyntheticConfig:
    """Small images made on the spot."""

    name: Literal["synthetic"]
    side: Annotated[int, Field(strict=True, ge=1, le=128)]
    """Height and width of an image, in pixels."""
    train: Count
    """Images to train on."""
    val: Count
    """Images to validate on."""
    test: Annotated[int, Field(strict=True, ge=10)]
    """Images to test on; ten at least, one of each class."""
    split_seed: Seed
    """Seed of the images and of their split."""

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.side**2

    @model_validator(mode="after")
    def _fits_in_memory(self) -> "SyntheticConfig":
        images = self.train + self.val + self.test
        if images * self.side**2 > MOST_PIXELS:
            raise ConfigError(
                f"data.side={self.side} with data.train={self.train}, data.val={self.val} and "
                f"data.test={self.test}: at most {MOST_PIXELS // self.side**2} images of this side"
            )
        return self


DataConfig = Annotated[
    FashionMNISTConfig | DigitsConfig | SyntheticConfig, Field(discriminator="name")
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AutoEncoderConfig:
    """inputs - hidden - inputs; ``hidden`` and ``dropout`` are dials."""

    name: Literal["autoencoder"]
    hidden_activation: Activation
    output_activation: Activation
    initialisation: Literal["uniform", "pca"]
    """uniform: as PyTorch draws weights; pca: as PCA of as many components reconstructs,
    or with gelu and silu about so."""

    @model_validator(mode="after")
    def _can_be_pca(self) -> "AutoEncoderConfig":
        if self.initialisation == "pca":
            for key, possible in {
                "hidden_activation": ("relu", "gelu", "silu", "identity"),
                "output_activation": ("clamp", "identity"),
            }.items():
                if getattr(self, key) not in possible:
                    raise ConfigError(
                        f"model.initialisation=pca: needs one of {', '.join(possible)} as "
                        f"model.{key}, not {getattr(self, key)}"
                    )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DeepAutoEncoderConfig:
    """inputs - widths - hidden - widths the other way round - inputs."""

    name: Literal["deep"]
    widths: Annotated[tuple[Width, ...], Field(min_length=1)]
    """Units of the layers between the inputs and the hidden layer."""
    inner_activation: Activation
    """Of those layers and their mirror images."""
    hidden_activation: Activation
    output_activation: Activation
    initialisation: Literal["uniform"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SGDConfig:
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    schedule: Schedule
    """Learning rate over the steps of a run; one_cycle peaks at ``lr``, the others start there."""
    momentum: Share
    nesterov: Switch
    weight_decay: Penalty

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SGDConfig":
        if self.nesterov and self.momentum == 0:
            raise ConfigError("optimizer.nesterov=true: needs optimizer.momentum above 0")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdamConfig:
    """Adam, or AdamW by name: the weight decay joins the gradient, or the weights."""

    name: Literal["adam", "adamw"]
    schedule: Schedule
    """As in SGD."""
    betas: tuple[Share, Share]
    eps: Rate
    weight_decay: Penalty


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainerConfig:
    """Where and how to compute."""

    accelerator: Literal["cpu", "gpu"]
    """Where to compute; the images live there too."""
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: matrix products in bfloat16, weights and errors in single precision."""
    early_stopping: Count | None
    """Epochs without a better ``val/mse`` before training stops and the best weights are
    tested; null: train to the last epoch and test that."""
    limit_batches: Count | None
    """Batches of each pass, to look for a fault; null: all."""
    detect_anomaly: Switch
    """Stop at the operation that makes a gradient nan; slow."""
    profiler: Literal["simple", "advanced"] | None
    """Write where the time went into the run's folder."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrackingConfig:
    """What is written where."""

    uri: Annotated[
        str, StringConstraints(strict=True, min_length=1), AfterValidator(address.of_store)
    ]
    """The MLflow store; a database file or a server."""
    experiment: Name
    """Name of the MLflow experiment."""
    system_metrics: Switch
    """Record CPU, memory and (installed with the extra ``gpu``) GPU load during the run."""

    @model_validator(mode="after")
    def _working_folder_holds_runs(self) -> "TrackingConfig":
        if flaw := address.flaw(Path.cwd()):
            raise ConfigError(f"working folder {address.shown(Path.cwd())}: {flaw}")
        return self

    @model_validator(mode="after")
    def _experiment_goes_by_its_name(self) -> "TrackingConfig":
        number = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if number and not os.environ.get("MLFLOW_EXPERIMENT_NAME"):
            raise ConfigError(
                f"MLFLOW_EXPERIMENT_ID={number}: an experiment goes by its name here; set "
                "MLFLOW_EXPERIMENT_NAME instead"
            )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReportConfig:
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
    """What one run trains, on what and how; of a stored run, what is read of its configuration."""

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
    data: DataConfig
    model: Annotated[AutoEncoderConfig | DeepAutoEncoderConfig, Field(discriminator="name")]
    optimizer: Annotated[SGDConfig | AdamConfig, Field(discriminator="name")]
    trainer: TrainerConfig

    @model_validator(mode="after")
    def _batch_fits(self) -> "TrainingConfig":
        if self.batch_size > self.data.train:
            raise ConfigError(
                f"batch_size={self.batch_size}: must be at most data.train={self.data.train}"
            )
        return self

    @model_validator(mode="after")
    def _has_as_many_components(self) -> "TrainingConfig":
        if self.model.initialisation == "pca" and self.hidden > self.data.pixels:
            raise ConfigError(
                f"model.initialisation=pca: hidden={self.hidden} must be at most the "
                f"{self.data.pixels} pixels of an image"
            )
        return self

    def plain(self) -> dict[str, Any]:
        """The configuration as plain values, ready for YAML or JSON."""
        values: dict[str, Any] = asdict(self)
        if "root" in values["data"]:
            values["data"]["root"] = str(values["data"]["root"])
        return values


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config(TrainingConfig):
    """Everything that one run is told."""

    repeats: Count
    """Seeds of each configuration: ``seed``, ``seed + 1`` and so on. More than one make a sweep,
    in whose runs it is 1."""
    tracking: TrackingConfig
    report: ReportConfig
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
            "hidden_activation": self.model.hidden_activation,
            "output_activation": self.model.output_activation,
            "initialisation": self.model.initialisation,
            "optimizer": self.optimizer.name,
            "schedule": self.optimizer.schedule,
            "accelerator": self.trainer.accelerator,
            "precision": self.trainer.precision,
        }


def determines_result(plain: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """The part of a plain configuration that the trained weights depend on, by dotted key."""
    decisive: dict[str, Any] = {}
    for name, value in plain.items():
        key = group + name
        if key in WITHOUT_EFFECT:
            continue
        if isinstance(value, dict):
            decisive |= determines_result(value, f"{key}.")
        else:
            decisive[key] = tuple(value) if isinstance(value, list) else value
    return decisive


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What ``python -m fae.report`` is told. Keys of other commands are passed over, since a
    user's own defaults may hold them."""

    sweep: Names
    """Sweeps by name or by (the beginning of) their run's id; null: the latest, or with
    ``where`` all runs."""
    where: Name | None
    """Conditions on parameters, such as ``hidden=64,128 optimizer=adam``; null: all runs."""
    out: OwnFolder | None
    """Folder to write; null: ``reports/<name of the sweep>``."""
    data: DataRoot
    tracking: TrackingConfig
    report: ReportConfig
