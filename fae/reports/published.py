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
class Open:
    """A setting that a paper does not give.

    Attributes:
        what: it is, in words.
        choice: what fae has instead by default.
        reason: for this choice, in a sentence.
        key: of the configuration, dotted, by which a run may have another; empty: none may.
    """

    what: str
    choice: str
    reason: str
    key: str = ""

    def of(self, config: TrainingConfig) -> str:
        """The choice of a configuration."""
        return str(_value(config, self.key)) if self.key else self.choice


@dataclass(frozen=True, config=STRICT)
class Paper:
    """A paper's results.

    Attributes:
        note: a sentence on how to read the results.
        data: name of the data set whose test images the errors are measured on.
        settings: other settings that the paper fixes, by dotted key; a run that differs in one of
            them is no reproduction.
        open: what it does not give.
    """

    authors: str
    title: str
    institution: str
    date: datetime.date
    note: str
    data: str
    settings: Mapping[str, Any]
    results: Sequence[PublishedResult]
    open: Sequence[Open] = ()

    @property
    def citation(self) -> str:
        return f"{self.authors}: {self.title} ({self.institution}, {self.date.year})"

    def is_reproduced_by(self, config: TrainingConfig) -> bool:
        """Whether a configuration has all settings that the paper fixes."""
        return all(_value(config, key) == value for key, value in self.settings.items())


def _value(config: object, key: str) -> object:
    """The value of a dotted key; None if there is no such key."""
    return reduce(lambda group, name: getattr(group, name, None), key.split("."), config)


@cache
def papers(folder: Path) -> list[Paper]:
    """The papers in a folder, in the order of their file names."""
    return [
        TypeAdapter(Paper).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.yaml"))
    ]


def find(data: str, hidden: int) -> tuple[Paper, PublishedResult] | tuple[None, None]:
    """The first paper with a result for a data set and a number of hidden units, and the result."""
    for paper in papers(PAPERS):
        for result in paper.results:
            if (paper.data, result.hidden) == (data, hidden):
                return paper, result
    return None, None


def target(config: TrainingConfig) -> float | None:
    """The published test error that a configuration is to reproduce; None if it is no paper's."""
    paper, result = find(config.data.name, config.hidden)
    return result.test_mse if paper and result and paper.is_reproduced_by(config) else None
