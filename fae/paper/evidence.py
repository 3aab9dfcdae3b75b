"""Stored results of the experiments that answer the paper's open questions."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from fae.cli.compose import check, compose_jobs, read
from fae.cli.overrides import assignment, command_line, key_of, without
from fae.data.config import DataConfig
from fae.errors import ConfigError, without_password
from fae.reports.selection import Selection, exclude
from fae.reports.settings import Setting
from fae.reports.summary import Summary
from fae.reports.write import DataSets, summary_of
from fae.runs.stored import TrainedRun
from fae.runs.task import State, look_up, stored_runs
from fae.sweeps.sweep import planned
from fae.tracking.archive import Archive, UnreadableError, is_measured
from fae.tracking.config import TrackingConfig
from fae.tracking.stored_run import StoredRun
from fae.tuning.conclusion import fresh_runs
from fae.tuning.results import RESULT_FILE, SearchResult
from fae.tuning.space import SearchArguments, SearchConfig

SIZES = (64, 128, 256, 512)
"""The paper's n."""
ALL_SIZES = "hidden=64,128,256,512"
PAPER = f"{ALL_SIZES} repeats=5"
BEST = "experiment=best/64,best/128,best/256,best/512"
TOLERANCE = 0.03


class MissingError(Exception):
    """An experiment is not in the store, or is incomplete.

    Args:
        command: command line that runs or resumes the experiment.
        left_out: sentences about runs that are excluded because they cannot be read.
    """

    def __init__(self, command: str, left_out: Sequence[str] = ()) -> None:
        super().__init__(command)
        self.command = command
        self.left_out = left_out


class Evidence:
    """Stored results of the experiments that answer the questions.

    An experiment is identified by what its command would run: it consists of the runs and studies
    with the same configurations, data and code, whatever their names and the commands that started
    them.

    Attributes:
        unreadable: sentences about excluded runs, by the command of their experiment.

    Args:
        tracking, data: locations of the store and of the images.
        overrides: command-line overrides that all experiments share.

    Raises:
        StoreError: there is no store, or it cannot be read; all methods raise it, too.
    """

    def __init__(
        self, tracking: TrackingConfig, data: DataConfig, overrides: Sequence[str]
    ) -> None:
        self._archive = Archive(tracking)
        self._data = DataSets(data.data_root)
        self._overrides = overrides
        self._selection = cache(self._select)
        self._searched = cache(self._search)
        self.unreadable: dict[str, list[str]] = {}

    def train(self, experiment: str) -> str:
        """The command that runs an experiment."""
        return without_password(command_line(self._all(experiment), "-m"))

    def search(self, others: str = "") -> str:
        """The command that runs one study per n."""
        overrides = self._all(f"{ALL_SIZES} {others}")
        return without_password(command_line(overrides, "-m", module="fae.search"))

    @cached_property
    def paper(self) -> Summary:
        """The paper's experiment."""
        return summary_of(self._selection(PAPER), self._archive, self._data, TOLERANCE)

    @cached_property
    def pca(self) -> NDArray[np.float64]:
        """Test error of PCA by the number of components."""
        return self._data.pca(self._selection(PAPER).runs[0].config.data, max(SIZES))

    def settings(self, experiment: str) -> list[Setting]:
        """The settings of an experiment, by n.

        Args:
            experiment: its overrides, such as ``experiment=adam``.

        Raises:
            MissingError: some of its runs are missing or unfinished.
        """
        return self._selection(experiment).settings

    def studies(self, others: str = "") -> dict[int, SearchResult]:
        """The newest study of each n, by n.

        Args:
            others: overrides in addition to ``hidden``.

        Raises:
            MissingError: there is no study of some n, or it has too few trials.
        """
        return self._searched(others)

    def tests(self, found: SearchResult) -> dict[int, float]:
        """Test errors of a study's best configuration, by seed."""
        runs = [self._archive.run(run_id) for run_id in found.runs]
        return {TrainedRun.of(run, self._archive).seed: _error(run) for run in runs}

    def _all(self, overrides: str) -> list[str]:
        """These overrides and those of the user, which take the place of others of their keys."""
        keys = map(key_of, self._overrides)
        return [*without(overrides.split(), *keys), *self._overrides]

    def _select(self, experiment: str) -> Selection:
        command = self.train(experiment)
        tasks = planned(self._all(experiment))
        settings = replace(tasks[0].config.sweep, rerun=False, retry_failed=False, plan_only=True)
        tasks = look_up(tasks, self._archive, settings)
        if any(task.state not in {State.DONE, State.FAILED} for task in tasks):
            raise MissingError(command)
        counted, excluded = exclude(self._archive, [task.run for task in tasks if task.run])
        self.unreadable[command] = [
            f"Excluded: run {left.id[:8]} ({left.name}): {left.reason}." for left in excluded
        ]
        return Selection(experiment, None, counted, excluded)

    def _search(self, others: str) -> dict[int, SearchResult]:
        searches = compose_jobs(
            "search",
            self._all(f"{ALL_SIZES} {others}"),
            lambda node, overrides: (
                check(node).hidden,
                read(node, SearchArguments).search,
                overrides,
            ),
        )
        known, left_out = self._known
        studies: dict[int, SearchResult] = {}
        for hidden, settings, overrides in searches:
            for found in known:
                if found.hidden == hidden and self._is_of(found, settings, overrides):
                    studies[hidden] = found
                    break
            else:
                raise MissingError(self.search(others), left_out)
        return studies

    @cached_property
    def _known(self) -> tuple[list[SearchResult], list[str]]:
        """Results of all studies, newest first, and sentences about unreadable ones."""
        known, left_out = [], []
        for study in reversed(self._archive.runs("study", status="FINISHED")):
            try:
                known.append(SearchResult.read(self._archive.text(study, RESULT_FILE)))
            except (UnreadableError, ValueError):
                left_out.append(
                    f"Excluded: run {study.id[:8]} ({study.name}): {RESULT_FILE} is damaged, or of "
                    "another version; search again under another search.name."
                )
        return known, left_out

    def _is_of(self, found: SearchResult, settings: SearchConfig, overrides: Sequence[str]) -> bool:
        """Whether a study searched this space with these overrides and at least as many trials.

        The overrides are checked by the runs that tested its best trial: these must have the
        configuration that the overrides compose with that trial's values. The sampler and the
        pruner may differ.
        """
        if found.space != settings.space or len(found.trials) < settings.trials:
            return False
        values = [assignment(key, value) for key, value in found.best.values.items()]
        try:
            tasks = fresh_runs([*overrides, *values], settings.repeats)
        except ConfigError:  # these overrides cannot be combined with that trial's values
            return False
        stored = stored_runs(self._archive, tasks)
        ids = [{run.id for run in stored.get(task.fingerprint, [])} for task in tasks]
        return all(not those.isdisjoint(found.runs) for those in ids)


def _error(run: StoredRun) -> float:
    error = run.metrics.get("test/mse", math.nan)
    if not is_measured(error):
        raise UnreadableError(run, f"test/mse={error:g} is invalid")
    return error
