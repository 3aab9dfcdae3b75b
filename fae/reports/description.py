"""What was trained, on what and with what, in words: for a reader who has only the report."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fae.config import TrainingConfig
from fae.data.config import DataConfig
from fae.data.shape import shape_of
from fae.models.network import Network
from fae.reports import published
from fae.reports.rows import commit
from fae.reports.settings import Setting
from fae.runs.stored import TrainedRun
from fae.runs.trained import untrained_network
from fae.tracking.archive import UnreadableError

LISTED = 8
"""Different values of a setting that are listed; of more, the first and the last."""
VERSION = re.compile(r"[\w.+!-]{1,50}")

Facts = Mapping[str, Sequence[str]]
"""The different values of each thing that is described, by what it is."""


@dataclass(frozen=True)
class Assumption:
    """What a paper leaves open, what the runs have instead, and why, if that is known."""

    what: str
    choices: Sequence[str]
    reason: str


def title(settings: Sequence[Setting]) -> str:
    """``Auto-encoders with 64 and 128 hidden units on Fashion-MNIST, by optimizer``."""
    sizes = _distinct(str(setting.hidden) for setting in settings)
    data = _distinct(setting.runs[0].config.data.title for setting in settings)
    others = _distinct(key.removesuffix(".name") for s in settings for key in s.others)
    units = in_words(sizes) if len(sizes) <= LISTED else f"{sizes[0]} to {sizes[-1]}"
    by = f", by {in_words(others)}" if 0 < len(others) <= 3 else ""
    return f"Auto-encoders with {units} hidden units on {in_words(data)}{by}"


def training(settings: Sequence[Setting], test_images: Callable[[DataConfig], int]) -> Facts:
    """What was trained, and how.

    Args:
        test_images: their number in a data set.
    """
    firsts = [setting.runs[0] for setting in settings]
    seeds = sorted({run.seed for setting in settings for run in setting.runs})
    facts: dict[str, Callable[[TrainedRun], str]] = {
        "data": lambda run: _data(run.config.data, test_images(run.config.data)),
        "network": lambda run: _named(run.config.model),
        "layers": lambda run: _layers(untrained_network(run.config)),
        "hidden units n": lambda run: str(run.config.hidden),
        "parameters": lambda run: f"{run.parameter_count:,}",
        "optimizer": lambda run: _named(run.config.optimizer),
        "learning rate": lambda run: f"{run.config.lr:g}",
        "batch size": lambda run: str(run.config.batch_size),
        "dropout": lambda run: f"{run.config.dropout:g}",
        "epochs": lambda run: _epochs(run.config),
        "precision": lambda run: run.config.trainer.precision,
        "loss": lambda run: run.config.model.loss,
    }
    if any(run.config.data.noise for run in firsts):
        facts["noise of the inputs"] = lambda run: f"{run.config.data.noise:g}"
    return {
        **{what: _distinct(map(describe, firsts)) for what, describe in facts.items()},
        "seeds": [", ".join(map(str, seeds))],
    }


def origin(runs: Sequence[TrainedRun], commands: Sequence[str]) -> Facts:
    """When, where and by which software the runs were made.

    Args:
        commands: that make them.
    """

    def tag(name: str) -> list[str]:
        return _distinct(run.tags.get(f"fae.{name}", "unknown") for run in runs)

    def package(name: str) -> list[str]:
        return _distinct(_version(run, name) for run in runs)

    return {
        "command": _distinct(commands),
        "date (UTC)": [_dates(runs)],
        "machine": _distinct(
            f"{run.tags.get('fae.device')}, {run.tags.get('fae.threads')} threads" for run in runs
        ),
        "kernels": tag("kernels"),
        "commit": _distinct(commit(run.tags) for run in runs),
        "fae": package("fae"),
        "Python": tag("python"),
        "PyTorch": tag("torch"),
        "Lightning": tag("lightning"),
        "MLflow": package("MLflow"),
        "data digest": tag("data_digest"),
    }


def assumptions(runs: Sequence[TrainedRun]) -> list[Assumption]:
    """What papers leave open, as chosen in the runs that have all settings that these fix."""
    choices: dict[published.Open, list[str]] = {}
    for run in runs:
        paper, _ = published.find(run.config.data.name, run.config.hidden)
        for unknown in paper.open if paper and paper.is_reproduced_by(run.config) else ():
            choices.setdefault(unknown, []).append(unknown.of(run.config))
    return [
        Assumption(
            unknown.what,
            _distinct(chosen),
            unknown.reason if {*chosen} == {unknown.choice} else "",
        )
        for unknown, chosen in choices.items()
    ]


def in_words(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _data(config: DataConfig, test: int) -> str:
    channels, side = shape_of(config.pixels)
    colour = " in colour" if channels == 3 else ""
    return (
        f"{config.title}: {config.train:,} training, {config.val:,} validation and {test:,} test "
        f"images of {side} x {side} pixels{colour}"
    )


def _named(settings: Any) -> str:
    """``sgd (schedule constant, momentum 0)``, of the settings of a variant."""
    values = asdict(settings)
    name = values.pop("name")
    given = {key.replace("_", " "): value for key, value in values.items() if value is not None}
    others = ", ".join(f"{key} {_value(value)}" for key, value in given.items())
    return f"{name} ({others})" if others else name


def _value(value: object) -> str:
    """A value as on a command line, without the decimals of a whole number."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _layers(network: Network) -> str:
    """``784-64-784``, of a network of linear layers one after the other."""
    shapes = [weights.shape for weights in network.parameters() if weights.ndim > 1]
    in_line = all(len(shape) == 2 for shape in shapes) and all(
        first[0] == second[1] for first, second in pairwise([*shapes, *shapes[:1]])
    )
    if not shapes or not in_line:
        return "not a chain of linear layers"
    return "-".join(str(units) for units in (shapes[0][1], *(shape[0] for shape in shapes)))


def _epochs(config: TrainingConfig) -> str:
    patience = config.trainer.early_stopping
    return f"{config.epochs}" + (f", or until {patience} have not improved" if patience else "")


def _version(run: TrainedRun, package: str) -> str:
    """The version of a package that a run used, from its list, which may be anybody's."""
    try:
        found = run.packages.get(package.lower(), "")
    except UnreadableError:
        found = ""
    return found if VERSION.fullmatch(found) else "unknown"


def _dates(runs: Sequence[TrainedRun]) -> str:
    """The days on which the first run began and the last one ended."""
    ends = min(run.started for run in runs), max(run.ended or run.started for run in runs)
    days = _distinct(str(np.datetime64(end, "ms").astype("datetime64[D]")) for end in ends)
    return " to ".join(days)
