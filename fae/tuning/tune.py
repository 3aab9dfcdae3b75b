"""A search: run the trials, then train the best configuration with fresh seeds."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from fae.cli.overrides import run_name
from fae.config import Config, fingerprint_fields
from fae.errors import (
    StoreError,
)
from fae.runs import provenance
from fae.runs.begin import begin
from fae.runs.fingerprint import fingerprint, former
from fae.runs.job import Job
from fae.runs.run import check_prerequisites
from fae.runs.task import Known, State
from fae.runtime.console import say, warn
from fae.tracking import address
from fae.tracking.archive import Archive
from fae.tracking.recovery import close_crashed
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tuning.conclusion import conclude, concluded
from fae.tuning.results import Outcome, SearchResult
from fae.tuning.space import Dimension, Range, SearchConfig
from fae.tuning.study import Study
from fae.tuning.trials import SearchContext, run_trials, wait_for_others


class Search:
    """This process's part of a search; other processes may work on the same study.

    Args:
        config: configuration of the trials, except the searched values.
        settings: search space and search settings.
        overrides: the command-line overrides that compose ``config``.
        folder: folder for the files of this process.
        command: command line of this search.

    Raises:
        ConfigError: the study cannot be opened, or a different one has its name.
        DataError: the images are not available.
        StoreError: there is no folder for the store.
    """

    def __init__(
        self,
        config: Config,
        settings: SearchConfig,
        overrides: Sequence[str],
        folder: Path,
        command: str,
    ) -> None:
        check_prerequisites(config)
        plain = fingerprint_fields(config)
        fixed = {key: value for key, value in plain.items() if not settings.varies(key)}
        self.study = Study(
            settings.name or run_name(config, overrides),
            settings,
            storage=settings.storage or _default_storage(config.tracking.uri),
            integer_keys=frozenset(dim.key for dim in settings.space if _has_integers(dim, plain)),
            fingerprint=fingerprint(config, fixed),
            former=former(config, fixed),
            epochs=config.epochs,
        )
        self.context = SearchContext(self.study, config, settings, list(overrides), folder)
        self.job = Job(self.study.name, folder, command)

    def run(self) -> Outcome:
        """Run the remaining trials, then test the best.

        Raises:
            StoreError: the store or the study's database cannot be used, or was lost.
            TrainingError: no trial finished.
        """
        try:
            with self.study.storage_errors():
                result = self._run()
        except BaseException:
            for lacking in filter(None, self.context.lacking):
                warn(lacking)
            raise
        return Outcome(result, [*filter(None, self.context.lacking)])

    def _run(self) -> SearchResult | None:
        """The result; None if another process will finish the study."""
        store = Store(self.context.config.tracking)
        archive = Archive(self.context.config.tracking)
        if result := self._finished(archive):
            return result
        with ExitStack() as until_end:
            run = self._open(store, archive, until_end)
            until = time.monotonic() + (self.context.settings.timeout or float("inf"))
            run_trials(self.context, archive, until)
            if run is None:
                if result := self._finished(archive):
                    return result
                run = self._open(store, archive, until_end)
            if run is None:
                say(f"{self.study.name}: no trial is left; another process will finish the study")
                return None
            while self.study.running_elsewhere:
                wait_for_others(self.study)
                run_trials(self.context, archive, until)  # of processes that crashed meanwhile
            result = conclude(self.context, run, archive)
        self.context.lacking.append(run.lacking)
        return result

    def _finished(self, archive: Archive) -> SearchResult | None:
        """The result, if the search is complete."""
        study = self._known(archive).run
        if study is None or study.status != "FINISHED" or not self.study.is_over:
            return None
        return concluded(self.context, archive)

    def _open(self, store: Store, archive: Archive, until_end: ExitStack) -> Run | None:
        """Open the study's run until the end of this search; None if another process has it."""
        tags = provenance.tags(self.context.config.trainer.accelerator)

        def known() -> Known:
            close_crashed(archive)
            return self._known(archive)

        with self.study.lock:
            begun = begin(store, self.job, known, kind="study", tags=tags)
            run, _ = until_end.enter_context(begun)
            if run:
                self.study.parent = run.id
            return run

    def _known(self, archive: Archive) -> Known:
        """The study's run in the store; every search of the study resumes it."""
        parent = self.study.parent
        found = archive.runs("study", ids=[parent] if parent else [])
        if not found:
            return Known()
        running = found[0].status == "RUNNING"
        state = State.RUNNING if running else State.RESUMABLE
        return Known(state=state, run=found[0])


def _has_integers(dimension: Dimension, plain: Mapping[str, object]) -> bool:
    """Whether a range has integers only: its key's value is one or, without a value, its bounds."""
    if not isinstance(dimension, Range):
        return False
    value = plain.get(dimension.key)
    ends = (dimension.low, dimension.high)
    return all(type(number) is int for number in (ends if value is None else (value,)))


def _default_storage(uri: str) -> str:
    """URL of the default database of studies, next to the store.

    Raises:
        StoreError: the store's folder does not exist.
    """
    file = address.file_of(uri)
    folder = file.parent if file else Path.cwd()
    if not folder.is_dir():
        raise StoreError(f"tracking.uri={uri}: there is no folder {folder}; create it")
    return address.of_file(folder / "optuna.db")
