"""One run, from its configuration to its result."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import yaml

from fae.config import Config
from fae.data.datamodule import EvalBatches, ImageDataModule
from fae.data.examples import examples
from fae.data.images import DataSet, Images
from fae.data.memory import check_memory
from fae.drawing import figures, sheets
from fae.drawing.chart import curves
from fae.drawing.pictures import Panel
from fae.errors import RunningElsewhereError, TrainingError
from fae.models import kernels
from fae.runs import provenance
from fae.runs.begin import LookedUp, begin
from fae.runs.build import build
from fae.runs.checkpoint import Checkpoints, DurableCheckpointIO, computed_by, resume_point
from fae.runs.diagnosis import diagnose
from fae.runs.fingerprint import fingerprint
from fae.runs.history import History
from fae.runs.initial_weights import find, start_from_stored, with_full_id
from fae.runs.job import Job
from fae.runs.others import Others
from fae.runs.progress import ProgressDisplay
from fae.runs.stored import COUNT, DEAD
from fae.runs.task import BYTES, WORK, State, Task, look_up, work
from fae.runs.trained import count_parameters
from fae.runtime.console import console, say, warn
from fae.runtime.formatting import format_error
from fae.runtime.threads import limit_threads
from fae.tracking.archive import Archive
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun
from fae.training.denoising import noisy_training
from fae.training.early_stopping import choose_weights
from fae.training.evaluation import mse_per_image
from fae.training.learner import Learner
from fae.training.overfitting import FOUND, check_overfitted, overfit_test
from fae.training.prerequisites import check_environment, check_trainer
from fae.training.trainer import NOISY_LOGGERS, build_trainer

STORE_PATIENCE_S = 300
"""How long a run of a sweep waits, before it begins, for a store that is away."""


@dataclass(frozen=True)
class Result:
    """A finished run, small enough to travel between processes.

    Attributes:
        run_id: of the run in the store.
        metrics: of the tested epoch and of the end: ``train/mse``, ``val/mse``, ``test/mse``,
            ``time/fit_s`` and others.
        lacking: what the store lacks of the run, and how it gets that; empty if nothing.
        was_done: whether the store had the run already.
        folder: of its files.
    """

    run_id: str
    metrics: dict[str, float]
    lacking: str = ""
    was_done: bool = False
    folder: str = ""

    @staticmethod
    def of(run: StoredRun) -> "Result":
        """The result of a run that the store has."""
        folder = run.tags.get("fae.folder", "")
        return Result(run.id, dict(run.metrics), was_done=True, folder=folder)


@dataclass(frozen=True)
class Fitted:
    """A network that has been trained.

    Attributes:
        epoch: the one, from 1, whose weights the network has: the last or, with early stopping,
            the best by ``val/mse``.
    """

    data: ImageDataModule
    learner: Learner
    trainer: pl.Trainer
    history: History
    epoch: int


def prepare(config: Config, *, here: bool = True) -> None:
    """Check what a run needs, bound the threads of torch, choose kernels, and quiet Lightning.

    It needs its device, its data set, and the weights that it is to start from.

    Args:
        here: the run is trained on this machine; otherwise its device and memory are checked by its
            own process.

    Raises:
        ConfigError, DataError: they are not.
    """
    limit_threads()
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    if here:
        check_trainer(config.trainer)
        check_memory(config.data)
    else:
        check_environment()
    kernels.quicker()  # known from here on to the processes of a launcher, too
    config.data.build().verify()
    if config.model.weights:
        find(config)
    if config.trainer.overfit:
        overfit_test(build(config, config.data.build())[0], config.trainer)


def train(config: Config, job: Job) -> Result:
    """Train, test and draw one network, and track all of it, unless the store has the run.

    Tested are the last weights or, with early stopping, the best by ``val/mse``.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: training diverged, and the run is FAILED; or it failed before.
        RunningElsewhereError: it is running in another process.
    """
    config = with_full_id(config)
    while True:
        try:
            return _train(config, job)
        except RunningElsewhereError as problem:
            if job.group and not _is_restarted():  # the sweep waits for it, once for all its runs
                raise
            archive = Archive(config.tracking)
            if Others(archive, config.tracking).is_alive(archive.run(problem.run_id)):
                raise


def _is_restarted() -> bool:
    """Whether Slurm has started this job again, perhaps as its node failed.

    Then a run that is RUNNING on another node may be its own.
    """
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def _train(config: Config, job: Job) -> Result:
    started = time.perf_counter()

    def known() -> Task:
        archive = Archive(config.tracking)
        (task,) = look_up([Task(config, ())], archive, config.sweep, job.group)
        return task

    with open_run(config, job, known, kind="run", subject=_subject(config, job)) as (run, task):
        if run is None and task.run and task.state == State.DONE:
            if found := task.run.tags.get(FOUND):
                say(found)
            return Result.of(task.run)
        if run is None and task.run and task.state == State.RUNNING:
            raise RunningElsewhereError(f"{job.name}: {task.describe()}", task.run.id)
        if run is None:
            raise TrainingError(f"{job.name}: {task.describe()}")
        if task.state == State.NEW and task.run and not job.group:  # a sweep's plan has said so
            warn(f"{job.name}: {task.describe()}")
        fitted = fit(run, config, job, resumed=bool(task.resumes), started=started)
        metrics = finish(run, fitted, config)
        if config.trainer.overfit:
            batch, error = fitted.data.train, metrics["train/mse"]
            found = check_overfitted(config.trainer.overfit, config.hidden, batch, error)
            run.set_tags({FOUND: found})
            say(found)
    return Result(run.id, metrics, run.lacking, folder=str(run.folder))


@contextmanager
def open_run(
    config: Config, job: Job, known: Callable[[], LookedUp], *, kind: str, subject: str
) -> Iterator[tuple[Run | None, LookedUp]]:
    """Begin the run of a configuration, as ``begin`` does; products are computed by its kernels.

    Args:
        known: what the store knows of the run by then.
        kind: of the run, as ``Store.run`` has it.
        subject: what no other process may begin at the same time.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: as ``Store.run``.
    """
    prepare(config)
    with kernels.using(config.trainer.kernels):
        tags = {
            **provenance.tags(config),
            "fae.data_digest": config.data.build().digest,
            "fae.fingerprint": fingerprint(config),
        }
        store = Store(config.tracking, patience_s=STORE_PATIENCE_S if job.group else 0)
        parameters = config.parameters()
        with begin(
            store, job, known, kind=kind, subject=subject, parameters=parameters, tags=tags
        ) as opened:
            yield opened


def _subject(config: Config, job: Job) -> str:
    """What no other process may compute at the same time: a result, or another one of a rerun."""
    if not config.sweep.rerun:
        return f"run {fingerprint(config)}"
    return f"rerun {fingerprint(config)} {job.group.parent if job.group else uuid.uuid4()}"


def fit(
    run: Run,
    config: Config,
    job: Job,
    *,
    resumed: bool,
    started: float,
    callbacks: Sequence[pl.Callback] = (),
) -> Fitted:
    """Train one network within its run, from its last checkpoint if it is resumed.

    Args:
        started: when this process began with the run, by ``time.perf_counter``.
        callbacks: more of them for the trainer.

    Raises:
        TrainingError: training diverged.
    """
    data_set = config.data.build()
    _record_provenance(run, config, data_set)
    data, learner = build(config, data_set)
    if config.model.weights:
        run.set_tags(start_from_stored(learner.network, config))
    history, progress = History(run, data, started), ProgressDisplay(job, console())
    checkpoints, overfit = Checkpoints(run.folder), overfit_test(data, config.trainer)
    checkpoint_io = DurableCheckpointIO(fingerprint(config))
    trainer = build_trainer(
        config.trainer,
        epochs=config.epochs,
        folder=run.folder,
        callbacks=[history, progress, *overfit, *callbacks, checkpoints],
        checkpoint_io=checkpoint_io,
    )
    with noisy_training(learner, config.data.noise):
        start = resume_point(run.folder, trainer, learner, fingerprint(config)) if resumed else None
        checkpoint_io.computed_by = _computed_by(run, config, job, start, resumed=resumed)
        trainer.fit(learner, data, ckpt_path=start, weights_only=True)
        history.picture(learner)
        epoch = choose_weights(trainer, learner, last=len(history.epochs))
    return Fitted(data, learner, trainer, history, epoch)


def _computed_by(
    run: Run, config: Config, job: Job, start: Path | None, *, resumed: bool
) -> list[str]:
    """What computed the run up to the checkpoint that it starts from, then what computes now.

    The tags of a resumed run, which are of the time when it began, are set anew.
    """
    hardware = provenance.hardware(config)
    now = f"{hardware['fae.device']}, {hardware['fae.kernels']}"
    devices = computed_by(start) if start else []
    if devices[-1:] != [now]:
        devices.append(now)
    if len(devices) > 1:
        mixed = ", then ".join(devices)
        warn(f"{job.name}: computed by different kernels, which round differently: {mixed}")
        hardware["fae.kernels"] = f"mixed bits: {mixed}"
    if resumed:
        run.set_tags(hardware)
    return devices


def finish(run: Run, fitted: Fitted, config: Config) -> dict[str, float]:
    """Test, draw and store a trained network; the metrics of its result.

    The network is on the CPU then.
    """
    data, learner, history = fitted.data, fitted.learner, fitted.history
    (test,) = fitted.trainer.test(learner, data, verbose=False)
    run.log_metrics(test, step=len(history.epochs))  # before the model, which is stored with them
    dead = learner.dead_units(EvalBatches(data.train))
    run.set_tags(diagnose(history.epochs, dead).tags())
    shown = data.test[examples(data.test)].as_floats()
    panel = _panel(learner, shown, data.data_set)
    _draw(run, history, panel, test["test/mse"])
    run.log_model(learner.network.cpu().eval(), panel.originals, step=fitted.epoch)
    metrics = {
        **test,
        DEAD: dead,
        COUNT: count_parameters(learner.network),
        "time/fit_s": history.fit_s,
        "time/total_s": history.total_s,
    }
    run.log_metrics(metrics, step=len(history.epochs))
    done = work(config, len(history.epochs))
    run.set_tags({BYTES: str(run.bytes_used()), WORK: str(done)})
    return {**history.epochs[fitted.epoch - 1], **metrics}


def _record_provenance(run: Run, config: Config, data_set: DataSet) -> None:
    run.log_text(yaml.safe_dump(config.plain(), sort_keys=False), "config.yaml")
    if diff := provenance.uncommitted_diff():
        run.log_text(diff, "uncommitted.diff")
    run.log_text(provenance.installed_versions(), "requirements.txt")
    run.log_data(
        config.data.name,
        data_set.digest,
        data_set.origin,
        {"train": config.data.train, "val": config.data.val},
    )


def _panel(learner: Learner, images: Images, data_set: DataSet) -> Panel:
    originals = images.pixels.cpu()
    reconstructions = learner.reconstruct(images.pixels)
    return Panel(
        originals.numpy(),
        reconstructions.numpy(),
        mse_per_image(reconstructions, originals).numpy(),
        [data_set.classes[label] for label in images.labels.tolist()],
    )


def _draw(run: Run, history: History, panel: Panel, test: float) -> None:
    """Draw the curves, and the reconstructions with the mean error over all test images."""
    run.log_figure(figures.draw(curves({run.name: [history.epochs]})), "figures/curves.png")
    label = f"{run.name}\ntest error {format_error(test)}"
    drawn = sheets.reconstructions(panel, {label: panel.reconstructions})
    run.log_figure(drawn, "figures/reconstructions.png")
