"""Tasks: runs that were asked for, and what the store knows of them.

Light at import (no torch), since a wrong configuration is refused before anything heavy is loaded.
"""

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path

from fae.cli.overrides import run_name
from fae.config import Config, SweepConfig
from fae.runs.fingerprint import fingerprint
from fae.runs.job import JobGroup
from fae.runtime.console import in_one_line
from fae.runtime.formatting import format_error
from fae.tracking.archive import Archive
from fae.tracking.checkpoints import saved_epochs
from fae.tracking.folder import home
from fae.tracking.recovery import close_crashed, crashed_runs
from fae.tracking.stored_run import StoredRun

WORK, BYTES = "fae.forecast.work", "fae.forecast.bytes"
"""Tags with what a run took, in units of ``work`` and in bytes, from which others are forecast."""


class State(str, Enum):
    """What is known of a run; new, resumable and queued ones are to be run."""

    NEW = "new"
    RESUMABLE = "resumable"
    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    QUEUED = "queued"


@dataclass(frozen=True)
class QueuedJob:
    """A job that was submitted to compute a run, by this command or an earlier one.

    Attributes:
        id: the scheduler's, such as ``8_3``.
        folder: of the sweep that submitted it.
        state: the scheduler's, such as pending, running or cancelled.
    """

    id: str
    folder: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the store knows of a run.

    Attributes:
        run: the stored run that is resumable, done, failed or running; of a new one the interrupted
            run that cannot be resumed, as its folder is gone and the store has no checkpoint, or
            None.
        folder: of a resumable run; None if it is resumed from what its store has.
        is_held: whether its former process may still write to that folder, as it only gave no sign
            of life for too long; then it is resumed in a copy.
        job: of a queued run, to which a launcher attaches instead of submitting another.
    """

    state: State = State.NEW
    run: StoredRun | None = None
    folder: Path | None = None
    is_held: bool = False
    job: QueuedJob | None = None

    @property
    def to_run(self) -> bool:
        return self.state in {State.NEW, State.RESUMABLE, State.QUEUED}

    @property
    def resumes(self) -> str | None:
        """Id of the run that is to be resumed; None if there is none."""
        return self.run.id if self.run and self.state == State.RESUMABLE else None

    @property
    def is_from_store(self) -> bool:
        """Whether it is resumed in another folder, from the checkpoint that its store has."""
        stored = self.run.checkpoint if self.run and self.folder is None else None
        return self.state == State.RESUMABLE and stored is not None


@dataclass(frozen=True)
class Task(Known):
    """A run that was asked for; what the store knows of it is nothing until ``look_up``.

    Attributes:
        config: the whole configuration.
        overrides: make it, on a command line.
        choices: of Hydra's groups, by their names.
        shared: overrides that it shares with all tasks beside it, which its name leaves out.
    """

    config: Config
    overrides: Sequence[str]
    choices: Mapping[str, str] = field(default_factory=dict)
    shared: Collection[str] = ()

    @property
    def name(self) -> str:
        """What varies, such as ``hidden=64 seed=0``."""
        return run_name(self.config, [o for o in self.overrides if o not in self.shared])

    @cached_property
    def fingerprint(self) -> str:
        """The same for all runs that give the same result."""
        return fingerprint(self.config)

    @property
    def epochs_done(self) -> int:
        """Epochs after which it resumes; 0 for a new run."""
        if self.folder:
            return max(saved_epochs(self.folder), default=0)
        stored = self.run.checkpoint if self.run and self.is_from_store else None
        return min(stored.epoch, self.config.epochs) if stored else 0

    @property
    def work(self) -> float:
        """The work that is left, in units of ``work``."""
        return work(self.config, self.config.epochs - self.epochs_done)

    def describe(self) -> str:
        """What becomes of it, human-readable."""
        if self.job:
            retry = "; sweep.retry_failed=true runs it again" * (self.job.state == "cancelled")
            return f"Slurm job {self.job.id}, {self.job.state}{retry}"
        if self.run is None:
            return self.state.value
        run = f"run {self.run.id[:8]}"
        if self.state == State.NEW:
            return (
                f"new: {run} was interrupted, and its folder is not where it was; if it was moved, "
                "python -m fae.sync finds it"
            )
        if self.state == State.DONE:
            return f"done: test {format_error(self.run.metrics['test/mse'])}, {run}"
        if self.state == State.RESUMABLE and not self.epochs_done:
            return f"starts over in {run}, which has no checkpoint"
        if self.state == State.RESUMABLE:
            source = " from the store" if self.is_from_store else ""
            return f"resumes after epoch {self.epochs_done} of {self.config.epochs}{source}, {run}"
        if self.state == State.RUNNING:
            host = in_one_line(self.run.tags.get("fae.host", ""))
            where = f" on {host}" if host not in ("", platform.node()) else ""
            return f"running in another process{where}, {run}"
        return f"failed before: {self.run.cause}; sweep.retry_failed=true runs it again"


def stored_runs(archive: Archive, tasks: Sequence[Task]) -> dict[str, list[StoredRun]]:
    """The runs of tasks in a store, by the task's fingerprint; oldest first."""
    names = dict.fromkeys(task.fingerprint for task in tasks)
    found = archive.alike("run", [*names])
    return {name: found[name] for name in names if name in found}


def work(config: Config, epochs: int) -> float:
    """The work of so many epochs, in units of what one hidden unit takes for 1000 images.

    A step costs a part that grows with the hidden layer and a part that does not, as
    much as some 30 units (from docs/speed/table.md).
    """
    images, limit = config.data.train, config.trainer.limit_batches
    if limit is not None:
        images = min(images, limit * config.batch_size)
    return epochs * (30.0 + config.hidden) * images / 1000


def look_up(
    tasks: Sequence[Task],
    archive: Archive | None,
    settings: SweepConfig,
    group: JobGroup | None = None,
) -> list[Task]:
    """The tasks with what the store knows of them by now.

    Crashed runs are closed first. For a mere plan nothing is changed: they count as closed.

    Args:
        archive: None where no run was ever stored.
        group: the jobs that the tasks are among. With ``sweep.rerun`` only their own runs count.
    """
    if archive is None:
        return list(tasks)
    if not settings.plan_only:
        close_crashed(archive)
    if settings.rerun and group is None:
        return list(tasks)
    dead = {run.id for run in crashed_runs(archive)} if settings.plan_only else set()
    stored = stored_runs(archive, tasks)
    if settings.rerun and group:
        stored = {
            name: [run for run in runs if run.parent == group.parent]
            for name, runs in stored.items()
        }
    return [
        replace(task, **vars(_known(stored.get(task.fingerprint, []), settings, dead)))
        for task in tasks
    ]


def _known(runs: Sequence[StoredRun], settings: SweepConfig, dead: Collection[str]) -> Known:
    """What is known by the runs of one fingerprint, oldest first."""
    for run in reversed(runs):
        if run.status == "FINISHED" and "test/mse" in run.metrics:
            return Known(state=State.DONE, run=run)
    if not runs:
        return Known()
    for run in runs:
        if run.status == "RUNNING" and run.id not in dead:
            return Known(state=State.RUNNING, run=run)
    latest = runs[-1]
    if latest.status == "FAILED":
        return Known() if settings.retry_failed else Known(state=State.FAILED, run=latest)
    folder = home(latest)
    state = State.RESUMABLE if folder or latest.checkpoint else State.NEW
    return Known(state=state, run=latest, folder=folder, is_held=latest.was_silent)
