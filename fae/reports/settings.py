"""Settings: groups of runs that differ in nothing but their seed, and what distinguishes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fae.runs.stored import DIGEST, TrainedRun
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
        return f"n = {self.hidden} {described(self.others)}".strip()

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
    where that is not enough, also by those that only some settings have, and by their images.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[TrainedRun]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(run.config_key.items())), []).append(run)
    ordered = sorted(groups.values(), key=lambda same: int(same[0].config_key["hidden"]))
    known = _rounded([same[0].config_key for same in ordered])
    keys = list(dict.fromkeys(key for values in known for key in values if key != "hidden"))
    differing = [key for key in keys if len({values[key] for values in known if key in values}) > 1]
    varying = [
        key
        for key in differing
        if key == "data.name" or not (key == DIGEST or _is_implied(key, known))
    ]
    telling = [
        key
        for key in keys
        if key in varying or key in {DIGEST} & {*differing} or any(key not in v for v in known)
    ]
    for others in (
        [{key: values[key] for key in varying if key in values} for values in known],
        [{key: values.get(key, "unset") for key in telling} for values in known],
    ):
        settings = [
            Setting(int(same[0].config_key["hidden"]), distinguishing, sorted(same, key=_seed))
            for distinguishing, same in zip(others, ordered, strict=True)
        ]
        if len({setting.title for setting in settings}) == len(settings):
            return settings
    raise AssertionError("two settings have the same title")


def _is_implied(key: str, known: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key follows from the choice of a data set, as the number of its images may."""
    pairs = {(values.get("data.name"), values[key]) for values in known if key in values}
    return key.startswith("data.") and len(pairs) == len({name for name, _ in pairs}) > 1


def _rounded(known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Configurations with floats of four digits, where these still tell a key's values apart."""
    exact: dict[str, set[Any]] = {}
    for values in known:
        for key, value in values.items():
            exact.setdefault(key, set()).add(value)
    coarse = {key for key, found in exact.items() if len(set(map(_coarse, found))) == len(found)}
    return [
        {key: _coarse(value) if key in coarse else value for key, value in values.items()}
        for values in known
    ]


def _coarse(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _seed(run: TrainedRun) -> int:
    return run.seed
