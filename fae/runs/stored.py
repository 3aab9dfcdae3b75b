"""A trained run in a store: its configuration, curves and network, read when they are needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fae.config import TrainingConfig, fingerprint_fields
from fae.errors import ConfigError
from fae.models.network import Network
from fae.runs.stored_config import stored_config
from fae.runs.trained import count_parameters, trained_network, untrained_network
from fae.tracking.archive import Archive, UnreadableError, is_measured
from fae.tracking.stored_run import StoredRun

MEASURED = ("test/mse", "time/fit_s")
DEAD, COUNT = "weights/dead_units", "weights/count"
MOST_PARAMETERS = 1e12
DIGEST = "data.digest"
"""Key of what is no setting: the digest of the images."""
OTHER_KINDS = {
    "sweep": "a sweep",
    "study": "a study of a search",
    "trial": "a trial of a search",
    "reproduction": "a reproduction",
}
"""Of runs in a store that are no trained run of their own, in words."""
LARGEST_LIST = 1_000_000
"""Bytes of the list of packages."""


@dataclass(frozen=True)
class TrainedRun(StoredRun):
    """A run in a store, with everything that it stored of its result.

    Attributes:
        archive: the store.

    Raises:
        UnreadableError: by each attribute that is read from the store, where that is gone,
            damaged, or not what a run stores.
    """

    archive: Archive = field(repr=False, compare=False, kw_only=True)

    @staticmethod
    def find(beginning: str, archive: Archive, key: str = "run") -> "TrainedRun":
        """The run whose id begins so.

        Args:
            key: under which that was given.

        Raises:
            ConfigError: there is not one such run.
        """
        runs = archive.runs("run") if beginning else []
        found = [run for run in runs if run.id.startswith(beginning)]
        if beginning and not found and (other := _other_kind(beginning, archive)):
            raise ConfigError(f"{key}={beginning}: is {other}; give the id of a run")
        if len(found) != 1:
            count = len(found) or "no"
            raise ConfigError(f"{key}={beginning}: {count} runs have ids that begin so")
        return TrainedRun.of(found[0], archive)

    @staticmethod
    def of(run: StoredRun, archive: Archive) -> "TrainedRun":
        """A run with access to what it stored."""
        return TrainedRun(**vars(run), archive=archive)

    @cached_property
    def config(self) -> TrainingConfig:
        """What it trained."""
        return stored_config(self.archive, self)

    @cached_property
    def config_key(self) -> Mapping[str, Any]:
        """What identifies its configuration, without the seed, by dotted key; and its images."""
        decisive = {**fingerprint_fields(self.config), DIGEST: self.tags.get("fae.data_digest")}
        return {key: value for key, value in decisive.items() if key != "seed"}

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        """``train/mse`` and ``val/mse`` after each epoch."""
        return self.archive.epochs(self)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that were installed, by name in lower case."""
        return versions(self.archive.text(self, "requirements.txt", LARGEST_LIST))

    @cached_property
    def network(self) -> Network:
        """With the weights that were tested, in evaluation mode; kept until ``release``."""
        return trained_network(self.archive, self, self.config)

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def tested(self) -> dict[str, float]:
        """The epoch whose weights were tested: the best with early stopping, else the last."""
        if self.config.trainer.early_stopping is None:
            return self.epochs[-1]
        return min(self.epochs, key=lambda epoch: epoch["val/mse"])

    @property
    def test_mse(self) -> float:
        return self.metrics["test/mse"]

    @property
    def fit_s(self) -> float:
        return self.metrics["time/fit_s"]

    @property
    def dead(self) -> int | None:
        """Hidden units that never change; None where they were not counted."""
        dead = self.metrics.get(DEAD)
        return None if dead is None else int(dead)

    @property
    def parameter_count(self) -> int:
        """Weights and biases of the network; earlier versions did not store how many."""
        stored = self.metrics.get(COUNT)
        return count_parameters(untrained_network(self.config)) if stored is None else int(stored)

    def check(self) -> None:
        """Read everything that the run stored of its result.

        Raises:
            UnreadableError: names what is gone, damaged, or not what a run stores.
        """
        if not self.metrics.keys() >= {*MEASURED}:
            raise UnreadableError(self, "finished without test error or time")
        possible = {
            **{name: is_measured(self.metrics[name]) for name in MEASURED},
            DEAD: _is_count(self.metrics.get(DEAD), self.config.hidden),
            COUNT: _is_count(self.metrics.get(COUNT), MOST_PARAMETERS),
        }
        for name, is_possible in possible.items():
            if not is_possible:
                raise UnreadableError(self, f"{name}={self.metrics[name]:g} is not possible")
        _ = self.epochs, self.network

    def release(self) -> None:
        """Free the memory of the network, which is read again when it is needed again."""
        vars(self).pop("network", None)


def versions(requirements: str) -> dict[str, str]:
    """Versions by the names of packages, in lower case, from lines such as ``torch==2.15.0``."""
    lines = requirements.lower().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def _is_count(value: float | None, most: float) -> bool:
    return value is None or (0 <= value <= most and float(value).is_integer())


def _other_kind(beginning: str, archive: Archive) -> str:
    """What else than a run has an id that begins so; empty if nothing."""
    for kind, named in OTHER_KINDS.items():
        if any(run.id.startswith(beginning) for run in archive.runs(kind)):
            return named
    return ""
