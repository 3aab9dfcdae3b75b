"""One search: trials until there are enough, then the best configuration with fresh seeds."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from fae.cli.overrides import run_name
from fae.config import Config, determines_result
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
from fae.tuning.results import Found, Outcome
from fae.tuning.space import Dimension, Range, SearchConfig
from fae.tuning.study import Study
from fae.tuning.trials import Shared, run_trials, wait_for_others


class Search:
    """A search by this process, perhaps beside others.

    Args:
        config: of each trial, except for the values that vary.
        settings: what varies, and how the best is looked for.
        overrides: make ``config``, on a command line.
        folder: for the files of this process.
        command: makes this search.

    Raises:
        ConfigError: the study cannot be opened, or is another one.
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
        plain = determines_result(config)
        fixed = {key: value for key, value in plain.items() if not settings.varies(key)}
        self.study = Study(
            settings.name or run_name(config, overrides),
            settings,
            storage=settings.storage or _default_storage(config.tracking.uri),
            whole=frozenset(dim.key for dim in settings.space if _is_whole(dim, plain)),
            fingerprint=fingerprint(config, fixed),
            former=former(config, fixed),
            epochs=config.epochs,
        )
        self.shared = Shared(self.study, config, settings, list(overrides), folder)
        self.job = Job(self.study.name, folder, command)

    def run(self) -> Outcome:
        """Run the remaining trials, then test the best.

        Raises:
            StoreError: nothing was computed, or the store or the study was lost.
            TrainingError: no trial finished.
        """
        try:
            with self.study.reading():
                found = self._run()
        except BaseException:
            for lacking in filter(None, self.shared.lacking):
                warn(lacking)
            raise
        return Outcome(found, [*filter(None, self.shared.lacking)])

    def _run(self) -> Found | None:
        """What was found; None if another process will finish the study."""
        store = Store(self.shared.config.tracking)
        archive = Archive(self.shared.config.tracking)
        if found := self._finished(archive):
            return found
        with ExitStack() as until_end:
            run = self._open(store, archive, until_end)
            until = time.monotonic() + (self.shared.settings.timeout or float("inf"))
            run_trials(self.shared, archive, until)
            if run is None:
                if found := self._finished(archive):
                    return found
                run = self._open(store, archive, until_end)
            if run is None:
                say(f"{self.study.name}: no trial is left; another process will finish the study")
                return None
            while self.study.under_way_elsewhere:
                wait_for_others(self.study)
                run_trials(self.shared, archive, until)  # those of a process that crashed meanwhile
            found = conclude(self.shared, run, archive)
        self.shared.lacking.append(run.lacking)
        return found

    def _finished(self, archive: Archive) -> Found | None:
        """What was found, if there is nothing left to do."""
        study = self._known(archive).run
        if study is None or study.status != "FINISHED" or not self.study.is_over:
            return None
        return concluded(self.shared, archive)

    def _open(self, store: Store, archive: Archive, until_end: ExitStack) -> Run | None:
        """The study's run, until the end of this search; None while it is another process's."""
        tags = provenance.tags(self.shared.config.trainer.accelerator)

        def known() -> Known:
            close_crashed(archive)
            return self._known(archive)

        with self.study.claiming:
            begun = begin(store, self.job, known, kind="study", tags=tags)
            run, _ = until_end.enter_context(begun)
            if run:
                self.study.parent = run.id
            return run

    def _known(self, archive: Archive) -> Known:
        """What the store knows of the study's run, which any search of the study resumes."""
        parent = self.study.parent
        found = archive.runs("study", ids=[parent] if parent else [])
        if not found:
            return Known()
        running = found[0].status == "RUNNING"
        return Known(State.RUNNING if running else State.RESUMABLE, found[0])


def _is_whole(dimension: Dimension, plain: Mapping[str, object]) -> bool:
    """Whether a range has whole numbers only: as its key's value is or, without one, its ends."""
    if not isinstance(dimension, Range):
        return False
    value = plain.get(dimension.key)
    ends = (dimension.low, dimension.high)
    return all(type(number) is int for number in (ends if value is None else (value,)))


def _default_storage(uri: str) -> str:
    """Where studies are by default, beside the store of their runs.

    Raises:
        StoreError: there is no such folder.
    """
    file = address.file_of(uri)
    folder = file.parent if file else Path.cwd()
    if not folder.is_dir():
        raise StoreError(f"tracking.uri={uri}: there is no folder {folder}; make it")
    return address.of_file(folder / "optuna.db")
