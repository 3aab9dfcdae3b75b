"""What a store has of the experiments that answer the paper's open questions."""

import math
import re
from functools import cached_property

from fae.config import FashionMNISTConfig, TrackingConfig
from fae.errors import StoreError
from fae.reports.selection import Selection, select
from fae.reports.settings import Setting
from fae.reports.summary import Summary
from fae.reports.write import DataSets, summary_of
from fae.tracking.archive import Archive, StoredRun, UnreadableError, is_measured
from fae.tuning.results import FOUND, Found

SIZES = (64, 128, 256, 512)
"""The paper's n."""
TRAIN = "python -m fae.train -m {}"
SEARCH = "python -m fae.search -m hidden=64,128,256,512"
PAPER = "hidden=64,128,256,512 repeats=5"
BEST = "experiment=best/64,best/128,best/256,best/512"
TOLERANCE = 0.03


class MissingError(Exception):
    """An experiment that is not in the store, or not all of it.

    Args:
        command: makes it, or goes on with it.
    """


class Evidence:
    """What the store has of the experiments that answer the questions.

    Attributes:
        unreadable: sentences about the runs of an experiment that cannot be read and so do not
            count, by its command.

    Raises:
        StoreError: there is no store, or it cannot be read; also by each attribute.
    """

    def __init__(self, tracking: TrackingConfig, data: FashionMNISTConfig) -> None:
        self._archive = Archive(tracking)
        self._data = DataSets(data.root)
        self.unreadable: dict[str, list[str]] = {}

    @cached_property
    def paper(self) -> Summary:
        """The paper's experiment."""
        return summary_of(self._selection(PAPER), self._archive, self._data, TOLERANCE)

    @cached_property
    def pca(self) -> dict[int, float]:
        """Test error of as many principal components, by n."""
        errors = self._data.pca(self._selection(PAPER).runs[0])
        return {n: float(errors[n]) for n in SIZES}

    def sweep(self, name: str) -> list[Setting]:
        """The settings of the latest sweep of a name, by n."""
        return self._selection(name).settings

    def studies(self, others: str = "") -> dict[int, Found]:
        """The latest study of each n, by n.

        Args:
            others: what its trials were told beside ``hidden``.
        """
        known = {run.name: run for run in self._archive.runs("study") if run.status == "FINISHED"}
        names = {n: " ".join(filter(None, [f"hidden={n}", others, "seed=0"])) for n in SIZES}
        if not known.keys() >= set(names.values()):
            raise MissingError(" ".join(filter(None, [SEARCH, others])))
        return {n: self._found(known[name]) for n, name in names.items()}

    def _found(self, study: StoredRun) -> Found:
        try:
            return Found.read(self._archive.text(study, FOUND))
        except ValueError as error:
            raise StoreError(
                f"run {study.id[:8]} ({study.name}): {FOUND} is damaged, or of another version; "
                "search again under another search.name"
            ) from error

    def tests(self, found: Found) -> dict[int, float]:
        """Test errors of a study's best configuration, by seed."""
        runs = [self._archive.run(run_id) for run_id in found.runs]
        return {_seed(run): _error(run) for run in runs}

    def _selection(self, name: str) -> Selection:
        # What a preset sweeps stands in the sweep's name before what was asked for.
        named = [s for s in self._archive.runs("sweep") if f" {s.name}".endswith(f" {name}")]
        if not named:
            raise MissingError(TRAIN.format(name))
        found = select(self._archive, [named[-1].id], None)
        others = [excluded for excluded in found.excluded if not excluded.replaced]
        under_way = any(excluded.run.status in {"RUNNING", "KILLED"} for excluded in others)
        if found.missing or under_way:
            raise MissingError(TRAIN.format(name))
        self.unreadable[TRAIN.format(name)] = [
            f"Excluded: run {excluded.run.id[:8]} ({excluded.run.name}): {excluded.reason}."
            for excluded in others
            if excluded.run.status == "FINISHED"
        ]
        return found


def _seed(run: StoredRun) -> int:
    seed = run.parameters.get("seed", "")
    if not re.fullmatch(r"\d{1,19}", seed):
        raise UnreadableError(run, f"seed={seed!r:.50} cannot be")
    return int(seed)


def _error(run: StoredRun) -> float:
    error = run.metrics.get("test/mse", math.nan)
    if not is_measured(error):
        raise UnreadableError(run, f"test/mse={error:g} cannot be")
    return error
