"""Trials of a study that this process runs; other processes may run trials at the same time."""

import gc
import math
import shutil
import time
from collections.abc import Sequence

import pytorch_lightning as pl
from optuna.trial import FrozenTrial, Trial

from fae.cli.compose import compose
from fae.cli.overrides import command_line, rounded_assignment
from fae.drawing import looks
from fae.errors import DataError, StoreError, cause
from fae.runs.job import Job, JobGroup
from fae.runs.run import fit, open_run
from fae.runs.task import Known, State
from fae.runtime.console import BAD, in_one_line, say, warn
from fae.runtime.formatting import format_error
from fae.tracking.archive import Archive
from fae.tracking.folder import home
from fae.tracking.liveness import SupersededError
from fae.tracking.recovery import close_crashed
from fae.tuning.crashed import CrashedTrials, runs_of
from fae.tuning.search import Search
from fae.tuning.study import Study

POLL_S = 2.0
"""Interval at which to check whether other processes have finished their trials."""


class Pruning(pl.Callback):
    """Reports each epoch's ``val/mse`` to a study, and stops a trial that is to be pruned.

    Attributes:
        pruned: whether the trial was stopped; part of a checkpoint.
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
        if self.study.should_prune(self.trial, epoch, error) and epoch != trainer.max_epochs:
            self.pruned = trainer.should_stop = True

    def state_dict(self) -> dict[str, bool]:
        return {"pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        self.pruned = state_dict["pruned"]


def run_trials(search: Search, archive: Archive, until: float) -> None:
    """Run trials until all planned ones have started, or the time limit is reached.

    Args:
        until: the time limit, on the clock of ``time.monotonic``.
    """
    study = search.study
    assert study.parent
    work, started = [1.0] * study.planned, time.time() - study.seconds
    group = JobGroup(study.parent, started, work, kind="study", colours=[*looks.APART])
    is_dead = CrashedTrials(study.parent, archive, search.config.tracking.silence_s)
    while time.monotonic() < until:
        with study.claim(search.job.folder, is_dead) as claimed:
            if claimed is None:
                return
            trial, folder = claimed
            overrides = search.with_values(trial.params)
            name = " ".join(rounded_assignment(*value) for value in trial.params.items())
            job = Job(name, folder, command_line(overrides), group, trial.number)
            _run_trial(search, trial, job, overrides, archive)
    say(f"{study.name}: time limit reached (search.timeout={search.settings.timeout:g})")


def wait_for_others(study: Study, is_dead: CrashedTrials) -> bool:
    """Wait while trials run in other processes; whether there were any.

    They are finished then, or their processes have crashed.
    """
    told = ""
    while running := _running_elsewhere(study, is_dead):
        hosts = dict.fromkeys(str(t.user_attrs.get("host", "a new process")) for t in running)
        trials = f"{len(running)} trial{'s' * (len(running) > 1)}"
        text = f"{study.name}: waiting for {trials} on {', '.join(map(in_one_line, hosts))}"
        if text != told:
            say(text)
        told = text
        time.sleep(POLL_S)
    return bool(told)


def _running_elsewhere(study: Study, is_dead: CrashedTrials) -> list[FrozenTrial]:
    """The trials that other processes run, once the stores answer."""
    away = False
    while True:
        try:
            return study.running_elsewhere(is_dead)
        except StoreError as problem:
            if not away:
                warn(f"{problem}; waiting for it")
            away = True
            is_dead.watch.restart()
            time.sleep(POLL_S)


def _run_trial(
    search: Search, trial: Trial, job: Job, overrides: Sequence[str], archive: Archive
) -> None:
    """Run or resume a trial, and report its outcome to the study, unless another process has it."""
    gc.collect()  # the Trainer of the trial before is a cycle, which holds its images
    study, pruning, started = search.study, Pruning(search.study, trial), time.perf_counter()
    folder = job.folder
    try:
        config = compose(*overrides)
        subject = f"trial {study.parent} {trial.number}"
        opened = open_run(config, job, lambda: _known(job, archive), kind="trial", subject=subject)
        with opened as (run, known):
            if run is None:
                time.sleep(POLL_S)  # it is that of another process, which is about to say so
                return
            folder, resumed = run.folder, bool(known.resumes)
            if not resumed and study.trials[trial.number].intermediate_values:
                warn(f"{job.label}: restarted, as its run's folder is missing")
            fitted = fit(run, config, job, resumed=resumed, started=started, callbacks=[pruning])
            if pruning.pruned:
                run.set_tags({"fae.pruned": f"epoch {fitted.epoch}"})
        search.lacking.append(run.lacking)
    except (DataError, StoreError, OSError):  # not caused by the trial's values
        raise
    except SupersededError as problem:
        warn(str(problem))
        return
    except Exception as failure:
        study.fail(trial, cause(failure))
        outcome, style = f"failed: {cause(failure)}", BAD
    else:
        error = fitted.history.epochs[fitted.epoch - 1]["val/mse"]
        outcome, style = f"val {format_error(error)}", ""
        if pruning.pruned:
            study.prune(trial)
            outcome += f", pruned after epoch {fitted.epoch} of {config.epochs}"
        else:
            study.tell(trial, error)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    say(f"{job.label}  {outcome}{_beside_best(study, trial)}", style=style)


def _beside_best(study: Study, trial: Trial) -> str:
    """The best trial so far, if there is one."""
    best = study.best
    if best is None:
        return ""
    if best.number == trial.number:
        return "  best so far"
    return f"  best {format_error(best.error or math.nan)}, trial {best.number + 1}"


def _known(job: Job, archive: Archive) -> Known:
    """What the store knows of a trial: its run, if it was interrupted or is running."""
    assert job.group
    runs = runs_of(archive, job.group.parent, job.number)
    if any(run.status == "RUNNING" for run in runs):
        close_crashed(archive)
        runs = runs_of(archive, job.group.parent, job.number)
    for run in reversed(runs):
        if run.status == "RUNNING" and not run.is_withdrawn:
            return Known(state=State.RUNNING, run=run)
        folder = home(run)
        if run.name == job.name and (folder or run.checkpoint):
            return Known(state=State.RESUMABLE, run=run, folder=folder, is_held=run.was_silent)
    return Known()
