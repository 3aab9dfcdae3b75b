"""Results of searches: stored as JSON, and shown as a table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from fae.drawing.tables import Columns, TerminalTables
from fae.errors import UndeliveredError
from fae.runtime.console import point, wide
from fae.runtime.formatting import format_error, format_interval, format_share
from fae.runtime.intervals import Estimate
from fae.tuning.space import Dimension
from fae.tuning.study import FinishedTrial

RESULT_FILE = "found.json"
"""Artifact of a study's run that holds its ``SearchResult``."""


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        study: name of the study.
        hidden: units of the hidden layer, the paper's n.
        space: the search space.
        best: the best trial.
        trials: all finished trials.
        test: test error of the best configuration over fresh seeds.
        runs: ids of the runs with fresh seeds.
        epochs_saved: share of the trials' epochs that pruning saved.
        importances: share of the error's variance that each key explains; empty if unknown.
        published: the paper's test error for the same data set and ``hidden``.
    """

    study: str
    hidden: int
    space: tuple[Dimension, ...]
    best: FinishedTrial
    trials: list[FinishedTrial]
    test: Estimate
    runs: list[str]
    epochs_saved: float
    importances: Mapping[str, float]
    published: float | None = None

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @staticmethod
    def read(text: str) -> "SearchResult":
        """Parse the output of ``json``.

        Raises:
            ValueError: the text is not the JSON of a result.
        """
        return TypeAdapter(SearchResult).validate_json(text)


@dataclass(frozen=True)
class Outcome:
    """What becomes of a search that does not fail.

    Attributes:
        result: None if another process will finish the study.
        lacking: messages about entries that are not in the store yet, and how to upload them.
        links: where the study is shown: labels and addresses or commands.
    """

    result: SearchResult | None
    lacking: Sequence[str]
    links: Sequence[tuple[str, str]] = ()


def show(outcomes: Sequence[Outcome]) -> None:
    """Print a table of the results, and where they are.

    Raises:
        UndeliveredError: some entries are not in the store yet.
    """
    if results := [outcome.result for outcome in outcomes if outcome.result]:
        wide().print(TerminalTables([_with_short_names(columns(results))]))
    for label, target in dict.fromkeys(link for outcome in outcomes for link in outcome.links):
        point(label, target)
    if messages := [message for outcome in outcomes for message in outcome.lacking]:
        raise UndeliveredError("\n".join(messages))


def _with_short_names(table: Columns) -> Columns:
    """A table of several studies without the settings that the names of all of them have."""
    names = [name.split(" ") for name in table["study"]]
    shared = {word for word in names[0] if "=" in word and all(word in name for name in names)}
    short = [" ".join(word for word in name if word not in shared) for name in names]
    return {**table, "study": short} if len(set(short)) == len(names) > 1 else table


def columns(results: Sequence[SearchResult]) -> Columns:
    """Table with one row per study: its best trial, and that trial's test error beside the paper's.

    Maps headings to cells; columns without content are left out.
    """
    shown = {
        "study": [result.study for result in results],
        "trials": [str(len(result.trials)) for result in results],
        "epochs saved": [format_share(result.epochs_saved, ".0f") for result in results],
        "best": [result.best.name for result in results],
        "val": [format_error(result.best.error or math.nan) for result in results],
        "test error": [format_interval(result.test) for result in results],
        "paper, lr=0.5": [
            "" if result.published is None else format_error(result.published) for result in results
        ],
    }
    return {heading: cells for heading, cells in shown.items() if any(cells)}
