"""Settings: groups of runs that differ in nothing but their seed, and what distinguishes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fae.runs.stored import TrainedRun
from fae.runtime.intervals import Estimate, estimate


@dataclass(frozen=True)
class Setting:
    """The runs of one configuration, one per seed.

    Attributes:
        hidden: number of hidden units.
        others: the other values that distinguish it from the settings beside it, by dotted key.
        runs: by seed, at least one.
    """

    hidden: int
    others: Mapping[str, Any]
    runs: Sequence[TrainedRun]

    @property
    def title(self) -> str:
        """Such as ``n = 64 dropout=0.2``."""
        return " ".join([f"n = {self.hidden}", *([described(self.others)] if self.others else [])])

    @property
    def config_key(self) -> Mapping[str, Any]:
        """Settings that identify the configuration, without the seed, by dotted key."""
        return self.runs[0].config_key

    @property
    def test(self) -> Estimate:
        """Test error, mean over the seeds."""
        return estimate([run.test_mse for run in self.runs])

    @property
    def errors(self) -> dict[int, float]:
        """Test error by seed."""
        return {run.seed: run.test_mse for run in self.runs}

    @property
    def validation(self) -> dict[int, float]:
        """Validation error by seed, by which settings are chosen."""
        return {run.seed: run.tested["val/mse"] for run in self.runs}


def described(others: Mapping[str, Any]) -> str:
    """Values by dotted key, as ``optimizer=sgd dropout=0.2``."""
    return " ".join(f"{key.removesuffix('.name')}={value}" for key, value in others.items())


def group(runs: Sequence[TrainedRun]) -> list[Setting]:
    """The settings of some runs, by the number of hidden units, then in the order of the runs.

    They are told apart by the keys whose values differ among the settings that have them, or,
    where that is not enough, also by those that only some settings have.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[TrainedRun]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(run.config_key.items())), []).append(run)
    ordered = sorted(groups.values(), key=lambda same: int(same[0].config_key["hidden"]))
    config_keys = [same[0].config_key for same in ordered]
    keys = list(dict.fromkeys(key for known in config_keys for key in known if key != "hidden"))
    values = {key: {known[key] for known in config_keys if key in known} for key in keys}
    varying = [key for key in keys if len(values[key]) > 1]
    settings = [
        _setting(same, {key: known[key] for key in varying if key in known})
        for same, known in zip(ordered, config_keys, strict=True)
    ]
    if _distinct(settings):
        return settings
    partial = [key for key in keys if any(key not in known for known in config_keys)]
    telling = [key for key in keys if key in {*varying, *partial}]
    settings = [
        _setting(same, {key: known.get(key, "unset") for key in telling})
        for same, known in zip(ordered, config_keys, strict=True)
    ]
    assert _distinct(settings)
    return settings


def _setting(runs: Sequence[TrainedRun], others: Mapping[str, Any]) -> Setting:
    hidden = int(runs[0].config_key["hidden"])
    return Setting(hidden, others, sorted(runs, key=lambda run: run.seed))


def _distinct(settings: Sequence[Setting]) -> bool:
    return len({setting.title for setting in settings}) == len(settings)
