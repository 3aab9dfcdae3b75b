"""One search: trials until there are enough, then the best configuration with fresh seeds."""

import platform
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
from optuna.trial import Trial

from fae.cli.compose import compose
from fae.cli.preset import preset
from fae.config import Config, determines_result
from fae.data.dataset import build_source
from fae.drawing import figures
from fae.drawing.tables import as_markdown
from fae.errors import (
    ConfigError,
    DataError,
    StoreError,
    TrainingError,
    cause,
)
from fae.reports.published import find, papers
from fae.runs import provenance
from fae.runs.job import Job, Origin, Schedule, command_line, run_name
from fae.runs.result import Result
from fae.runs.run import check_surroundings, fitted, train
from fae.runtime import formatting
from fae.runtime.console import say, warn
from fae.runtime.intervals import estimate
from fae.sweeps import plan
from fae.sweeps.plan import Task
from fae.tracking import address
from fae.tracking.archive import Archive
from fae.tracking.folder import home
from fae.tracking.recovery import close_dead
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tuning.results import FOUND, Found, Outcome, columns, errors_by_value
from fae.tuning.space import Dimension, Range, SearchConfig, override, short
from fae.tuning.study import Study, Tried

POLL_S = 2.0
"""Seconds between two looks at whether other processes have finished their trials."""
EDGE = 0.05
"""A share of a range; what lies as close to an end may be better beyond it."""


class Pruning(pl.Callback):
    """Tells each epoch's ``val/mse`` to a study, and ends a trial that the study gives up.

    Attributes:
        pruned: whether it did; part of a checkpoint.
    """

    def __init__(self, study: Study, trial: Trial) -> None:
        self.study = study
        self.trial = trial
        self.pruned = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.pruned:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        error = float(trainer.callback_metrics["val/mse"])
        if self.study.is_hopeless(self.trial, epoch, error) and epoch != trainer.max_epochs:
            self.pruned = trainer.should_stop = True

    def state_dict(self) -> dict[str, bool]:
        return {"pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        self.pruned = state_dict["pruned"]


class Search:
    """A search by this process, perhaps beside others.

    Args:
        config: what all trials share.
        settings: what varies, and how the best is looked for.
        overrides: what makes ``config``.
        folder: for the files of this process.
        command: makes this search.

    Raises:
        ConfigError: the study cannot be opened, or is another one.
        DataError: the images are not at hand.
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
        check_surroundings(config)
        self.config = config
        self.settings = settings
        self.overrides = list(overrides)
        self.folder = folder
        self._lacking: list[str] = []
        self.command = command
        self.name = settings.name or run_name(config, overrides)
        plain = determines_result(config.plain())
        fixed = {key: value for key, value in plain.items() if not settings.varies(key)}
        self.study = Study(
            self.name,
            settings,
            storage=settings.storage or _beside(config.tracking.uri),
            whole=frozenset(one.key for one in settings.space if _is_whole(one, plain)),
            fingerprint=provenance.fingerprint(fixed, build_source(config.data).digest),
            epochs=config.epochs,
        )

    def run(self) -> Outcome:
        """Do what is left to do.

        Raises:
            StoreError: nothing was computed, or the store or the study was lost.
            TrainingError: no trial came to its end.
        """
        try:
            with self.study.reading():
                found = self._run()
        except BaseException:
            for lacking in filter(None, self._lacking):
                warn(lacking)
            raise
        return Outcome(found, [*filter(None, self._lacking)])

    def _run(self) -> Found | None:
        """What was found; None where another process sees to the end of it."""
        store = Store(self.config.tracking)
        archive = Archive(self.config.tracking)
        if found := self._finished(archive):
            return found
        with ExitStack() as held:
            run = self._take_over(store, archive, held)
            until = time.monotonic() + (self.settings.timeout or float("inf"))
            self._try_all(archive, until)
            if run is None:
                if found := self._finished(archive):
                    return found
                run = self._take_over(store, archive, held)
            if run is None:
                say(f"{self.name}: nothing left to try; another process sees to the end")
                return None
            while self.study.under_way_elsewhere:
                self._wait_for_others()
                self._try_all(archive, until)  # what a process that died meanwhile has left
            found = self._conclude(run, archive)
        self._lacking.append(run.lacking)
        return found

    def _finished(self, archive: Archive) -> Found | None:
        """What was found, if there is nothing left to do."""
        if self._known(archive)[1] != "FINISHED" or not self.study.is_over:
            return None
        tests = self._tests(archive)
        return None if any(task.to_do for task in tests) else self._found(tests, {})

    def _take_over(self, store: Store, archive: Archive, held: ExitStack) -> Run | None:
        """The study's run, this process's from now on; None while it is another's."""
        with self.study.claiming:
            close_dead(archive)
            parent, status = self._known(archive)
            if status == "RUNNING":
                return None
            run = held.enter_context(self._parent_run(store, parent))
            self.study.parent = run.id
            return run

    def _wait_for_others(self) -> None:
        """Until other processes have ended their trials; says whose, if they are elsewhere."""
        told = False
        while waiting := self.study.under_way_elsewhere:
            if not told and (far := [one for one in waiting if one.host != platform.node()]):
                told = True
                one = far[0]
                say(
                    f"{self.name}: waits for trial {one.number} on {one.host}; if that is gone, "
                    f"Ctrl-C, optuna tell --storage {shlex.quote(self.study.storage)} --study-name "
                    f"{shlex.quote(self.name)} --trial-number {one.number} --state fail, and again"
                )
            time.sleep(POLL_S)

    def _known(self, archive: Archive) -> tuple[str | None, str | None]:
        """The id and the status of the study's run, if the store has it."""
        parent = self.study.parent
        found = archive.runs("study", f"attributes.run_id = '{parent}'") if parent else []
        return (found[0].id, found[0].status) if found else (None, None)

    def _parent_run(self, store: Store, parent: str | None) -> AbstractContextManager[Run]:
        """The run of the study, with the trials in it; a new one or an earlier one again."""
        return store.run(
            self.name,
            kind="study",
            folder=self.folder,
            command=self.command,
            tags=provenance.tags(self.config.trainer.accelerator),
            carry_on=parent,
        )

    def _try_all(self, archive: Archive, until: float) -> None:
        """Run trials until there are enough, or the time is up.

        Args:
            until: when it is, as ``time.monotonic`` counts.
        """
        parent = self.study.parent
        assert parent
        trials, began = self.study.planned, time.time() - self.study.seconds
        schedule = Schedule(parent, began, [1.0] * trials, [None] * trials, kind="study")
        while time.monotonic() < until:
            with self.study.claim(self.folder) as claimed:
                if claimed is None:
                    return
                self._try(*claimed, schedule, archive)
        say(f"{self.name}: the time is up (search.timeout={self.settings.timeout:g})")

    def _try(self, trial: Trial, folder: Path, schedule: Schedule, archive: Archive) -> None:
        """Run one trial, or what is left of it."""
        overrides = self._overrides(trial.params)
        name = " ".join(short(key, value) for key, value in trial.params.items())
        job = Job(name, folder, command_line(overrides), schedule, trial.number)
        if origin := self._origin(job, archive):
            job = job.going_on_with(origin)
        elif self.study.trials[trial.number].intermediate_values:
            warn(f"{job.label}: begins anew, as the folder of its run is gone")
        pruning = Pruning(self.study, trial)
        try:
            config = compose(*overrides)
            with fitted(config, job, kind="trial", callbacks=[pruning]) as done:
                error = done.history.epochs[done.epoch - 1]["val/mse"]
                outcome = f"val {error:.6f}"
                if pruning.pruned:
                    outcome += f", given up after epoch {done.epoch} of {config.epochs}"
                    done.run.set_tags({"fae.pruned": f"epoch {done.epoch}"})
            self._lacking.append(done.run.lacking)
        except (DataError, StoreError, OSError):  # it is not the values' fault
            raise
        except Exception as failure:
            self.study.fail(trial, cause(failure))
            outcome = f"failed: {cause(failure)}"
        else:
            if pruning.pruned:
                self.study.give_up(trial)
            else:
                self.study.tell(trial, error)
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
        best = self.study.best
        so_far = f"  best so far {best.error:.6f}, {best.name}" if best else ""
        say(f"{job.label}  {outcome}{so_far}")

    def _origin(self, job: Job, archive: Archive) -> Origin | None:
        """The run of a trial that was cut short, as far as the store has it; None for a new one."""
        assert job.sweep
        runs = archive.runs(
            "trial",
            f"tags.`mlflow.parentRunId` = '{job.sweep.parent}'",
            f"tags.`fae.folder` LIKE '%/trial-{job.number}'",
        )
        if runs:
            close_dead(archive)
        for run in reversed(runs):
            if run.name == job.name and (folder := home(run)):
                return Origin(run.id, str(folder))
        return None

    def _conclude(self, run: Run, archive: Archive) -> Found:
        """Train the best configuration with fresh seeds, and keep what was found."""
        tests = self._tests(archive)
        origins = [task.origin for task in tests]
        work = [task.work for task in tests]
        schedule = Schedule(run.id, time.time(), work, origins, kind="tests")
        results: dict[int, Result] = {}
        for number, task in enumerate(tests):
            if task.to_do:
                folder = self.folder / f"seed-{task.config.seed}"
                folder.mkdir(exist_ok=True)
                job = Job(task.name, folder, command_line(task.overrides), schedule, number)
                if task.origin:
                    job = job.going_on_with(task.origin)
                results[number] = train(task.config, job)
                self._lacking.append(results[number].lacking)
                say(f"{job.label}  test {formatting.error(results[number].metrics['test/mse'])}")
        found = self._found(tests, results)
        assert found.best.error is not None
        run.log_metrics({"val/mse": found.best.error, "test/mse": found.test.mean}, step=0)
        run.log_text(found.json(), FOUND)
        run.set_tags({"mlflow.note.content": as_markdown(columns([found]))})
        for one in self.settings.space:
            if isinstance(one, Range):
                chart = errors_by_value([found], one)
                run.log_figure(figures.draw(chart), f"figures/{chart.name}.png")
        run.log_text(preset(tests[0].config, *_comments(found)), "preset.yaml")
        for warning in self._warnings(found.best):
            warn(warning)
        if found.importances:
            shares = ", ".join(f"{key} {share:.0%}" for key, share in found.importances.items())
            say(f"{self.name}: of the variance of completed trials' errors explain {shares}")
        return found

    def _best(self) -> Tried:
        best = self.study.best
        if best is None:
            why = f" (the first failed: {self.study.first_failure})" if self.study.tried else ""
            raise TrainingError(
                f"{self.name}: no trial came to its end{why}; raise search.trials, or give another "
                "search.space and another search.name"
            )
        return best

    def _tests(self, archive: Archive) -> list[Task]:
        """The best configuration with seeds other than that of the trials."""
        chosen = self._overrides(self._best().values)
        first = self.config.seed + 1
        tasks = []
        for seed in range(first, first + self.settings.repeats):
            of_seed = [*(o for o in chosen if not o.startswith("seed=")), f"seed={seed}"]
            tasks.append(plan.task(compose(*of_seed), of_seed))
        tasks = plan.look_up(tasks, archive, replace(self.config.sweep, retry_failed=True))
        for task in tasks:
            if task.state == "running":
                raise TrainingError(f"{task.name}: {task.outlook()}; wait for it")
        return tasks

    def _found(self, tests: Sequence[Task], results: Mapping[int, Result]) -> Found:
        """What is known now.

        Args:
            results: of the tests that this process ran, by number; the store has the others.
        """
        _, published = find(papers(), self.config.data.name, self.config.hidden) or (None, None)
        errors, runs = [], []
        for number, task in enumerate(tests):
            if task.run and not task.to_do:
                errors.append(task.run.metrics["test/mse"])
                runs.append(task.run.id)
            else:
                errors.append(results[number].metrics["test/mse"])
                runs.append(results[number].run_id)
        return Found(
            self.name,
            self.config.hidden,
            self.settings.space,
            self._best(),
            self.study.tried,
            estimate(errors),
            runs,
            self.study.epochs_saved,
            self.study.importances(),
            published.test_mse if published else None,
        )

    def _overrides(self, values: Mapping[str, object]) -> list[str]:
        """What makes a configuration with these values."""
        return [*self.overrides, *(override(key, value) for key, value in values.items())]

    def _warnings(self, best: Tried) -> list[str]:
        """Where the best value is so close to an end of its range that beyond may be better."""
        warnings = []
        for one in self.settings.space:
            if not isinstance(one, Range):
                continue
            value = best.values[one.key]
            assert isinstance(value, int | float)
            share = one.share(value)
            if min(share, 1 - share) > EDGE:
                continue
            end, beyond = ("low", one.at(-EDGE)) if share < EDGE else ("high", one.at(1 + EDGE))
            try:
                compose(*self._overrides({**best.values, one.key: beyond}))
            except ConfigError:
                continue  # there is nothing beyond
            warnings.append(
                f"{self.name}: the best {short(one.key, value)} lies at the edge of its range "
                f"({one}); move search.space.{one.key}.{end} and search on under another name"
            )
        return warnings


def _is_whole(dimension: Dimension, plain: Mapping[str, object]) -> bool:
    """Whether a range is one of whole numbers: as its key's value is or, without one, its ends."""
    if not isinstance(dimension, Range):
        return False
    value = plain.get(dimension.key)
    ends = (dimension.low, dimension.high)
    return all(type(one) is int for one in (ends if value is None else (value,)))


def _beside(uri: str) -> str:
    """Where the studies are by default, whose runs are in a store.

    Raises:
        StoreError: there is no such folder.
    """
    file = address.file_of(uri)
    folder = file.parent if file else Path.cwd()
    if not folder.is_dir():
        raise StoreError(f"tracking.uri={uri}: there is no folder {folder}; make it")
    return address.of_file(folder / "optuna.db")


def _comments(found: Found) -> list[str]:
    """Where a preset comes from."""
    return [
        f"The best of {len(found.trials)} trials of the study {found.study!r}.",
        f"Reached a test error of {formatting.interval(found.test)}, seeds in brackets.",
    ]
