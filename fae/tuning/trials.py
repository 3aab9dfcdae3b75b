"""The trials that one process runs of a study, perhaps beside other processes."""

import platform
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytorch_lightning as pl
from optuna.trial import Trial

from fae.cli.compose import compose
from fae.cli.overrides import assignment, command_line, rounded_assignment
from fae.config import Config
from fae.errors import DataError, StoreError, cause
from fae.runs.job import Job, JobGroup
from fae.runs.run import fit, open_run
from fae.runs.task import Known, State
from fae.runtime.console import say, warn
from fae.tracking.archive import Archive
from fae.tracking.folder import home
from fae.tracking.recovery import close_crashed
from fae.tuning.space import SearchConfig
from fae.tuning.study import Study

POLL_S = 2.0
"""Seconds between two looks at whether other processes have finished their trials."""


@dataclass(frozen=True)
class Shared:
    """What all runs of a search share.

    Attributes:
        study: keeps the trials.
        config: of each run, except for the values that vary.
        settings: what varies, and how the best is looked for.
        overrides: make ``config``, on a command line.
        folder: for the files of this process.
        lacking: of each run so far, what the store lacks of it, or nothing.
    """

    study: Study
    config: Config
    settings: SearchConfig
    overrides: Sequence[str]
    folder: Path
    lacking: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.study.name

    def with_values(self, values: Mapping[str, object]) -> list[str]:
        """The overrides that make a configuration with these values."""
        return [*self.overrides, *(assignment(key, value) for key, value in values.items())]


class Pruning(pl.Callback):
    """Reports each epoch's ``val/mse`` to a study, and ends a trial that is to be pruned.

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


def run_trials(shared: Shared, archive: Archive, until: float) -> None:
    """Run trials until there are enough, or the time is up.

    Args:
        until: when it is, as ``time.monotonic`` counts.
    """
    study = shared.study
    assert study.parent
    work, started = [1.0] * study.planned, time.time() - study.seconds
    group = JobGroup(study.parent, started, work, kind="study")
    while time.monotonic() < until:
        with study.claim(shared.folder) as claimed:
            if claimed is None:
                return
            trial, folder = claimed
            overrides = shared.with_values(trial.params)
            name = " ".join(rounded_assignment(*value) for value in trial.params.items())
            job = Job(name, folder, command_line(overrides), group, trial.number)
            _run_trial(shared, trial, job, overrides, archive)
    say(f"{study.name}: the time is up (search.timeout={shared.settings.timeout:g})")


def wait_for_others(study: Study) -> None:
    """Wait until other processes have ended their trials; name one that is on another host."""
    named = False
    while running := study.under_way_elsewhere:
        elsewhere = [trial for trial in running if trial.host != platform.node()]
        if elsewhere and not named:
            named, trial = True, elsewhere[0]
            say(
                f"{study.name}: waits for trial {trial.number} on {trial.host}; if that is gone, "
                f"Ctrl-C, optuna tell --storage {shlex.quote(study.storage)} --study-name "
                f"{shlex.quote(study.name)} --trial-number {trial.number} --state fail, and again"
            )
        time.sleep(POLL_S)


def _run_trial(
    shared: Shared, trial: Trial, job: Job, overrides: Sequence[str], archive: Archive
) -> None:
    """Run a trial, or what is left of it, and tell the study how it ended."""
    study, known = shared.study, _known(job, archive)
    if known.state == State.NEW and study.trials[trial.number].intermediate_values:
        warn(f"{job.label}: starts again, as the folder of its run is gone")
    pruning = Pruning(study, trial)
    try:
        error, outcome = _fit(shared, job, compose(*overrides), known, pruning)
    except (DataError, StoreError, OSError):  # not the values' fault
        raise
    except Exception as failure:
        study.fail(trial, cause(failure))
        outcome = f"failed: {cause(failure)}"
    else:
        if pruning.pruned:
            study.give_up(trial)
        else:
            study.tell(trial, error)
    shutil.rmtree((known.folder or job.folder) / "checkpoints", ignore_errors=True)
    best = study.best
    so_far = f"  best so far {best.error:.6f}, {best.name}" if best else ""
    say(f"{job.label}  {outcome}{so_far}")


def _fit(
    shared: Shared, job: Job, config: Config, known: Known, pruning: Pruning
) -> tuple[float, str]:
    """Train the network of a trial; its error, and how it ended."""
    started = time.perf_counter()
    with open_run(config, job, lambda: known, kind="trial") as (run, _):
        assert run
        resumed = known.state == State.RESUMABLE
        fitted = fit(run, config, job, resumed=resumed, started=started, callbacks=[pruning])
        error = fitted.history.epochs[fitted.epoch - 1]["val/mse"]
        outcome = f"val {error:.6f}"
        if pruning.pruned:
            outcome += f", pruned after epoch {fitted.epoch} of {config.epochs}"
            run.set_tags({"fae.pruned": f"epoch {fitted.epoch}"})
    shared.lacking.append(run.lacking)
    return error, outcome


def _known(job: Job, archive: Archive) -> Known:
    """What the store knows of a trial: its run, if it was interrupted."""
    assert job.group
    runs = archive.runs("trial", parent=job.group.parent, folder=f"trial-{job.number}")
    if runs:
        close_crashed(archive)
    for run in reversed(runs):
        if run.name == job.name and (folder := home(run)):
            return Known(State.RESUMABLE, run, folder)
    return Known()
