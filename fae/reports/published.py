"""Published results, one file of ``papers/`` per paper, and the settings that they hold for."""

import datetime
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from fae.config import TrainingConfig

PAPERS = Path(__file__).with_name("papers")
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class PublishedResult:
    """A published result.

    Attributes:
        hidden: number of hidden units.
        test_mse: mean squared error over the test images, pixels in [0, 1].
        seconds: training time; None where the paper gives none.
    """

    hidden: int
    test_mse: float
    seconds: float | None = None


@dataclass(frozen=True, config=STRICT)
class Paper:
    """A paper's results.

    Attributes:
        note: a sentence on how to read the results.
        data: name of the data set whose test images the errors are measured on.
        settings: other settings that the paper fixes, by dotted key; a run that differs in one of
            them is no reproduction.
    """

    authors: str
    title: str
    institution: str
    date: datetime.date
    note: str
    data: str
    settings: Mapping[str, Any]
    results: Sequence[PublishedResult]

    @property
    def citation(self) -> str:
        return f"{self.authors}: {self.title} ({self.institution}, {self.date.year})"

    def result(self, data: str, hidden: int) -> PublishedResult | None:
        """The published result for a data set and a number of hidden units; None without one."""
        if data != self.data:
            return None
        return next((result for result in self.results if result.hidden == hidden), None)

    def is_reproduced_by(self, config: TrainingConfig) -> bool:
        """Whether a configuration has all settings that the paper fixes."""
        return all(_value(config, key) == value for key, value in self.settings.items())


def _value(config: object, key: str) -> object:
    """The value of a dotted key; None if there is no such key."""
    return reduce(lambda group, name: getattr(group, name, None), key.split("."), config)


@cache
def papers(folder: Path = PAPERS) -> list[Paper]:
    """The papers in a folder, in the order of their file names."""
    return [
        TypeAdapter(Paper).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.yaml"))
    ]


def find(known: Sequence[Paper], data: str, hidden: int) -> tuple[Paper, PublishedResult] | None:
    """The first paper with a result for a data set and a number of hidden units, and the result."""
    found = ((paper, paper.result(data, hidden)) for paper in known)
    return next(((paper, result) for paper, result in found if result), None)
