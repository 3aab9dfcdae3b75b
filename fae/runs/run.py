"""One run, from its configuration to its result."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytorch_lightning as pl
import yaml

from fae.config import Config, determines_result
from fae.data.datamodule import ImageDataModule, Slices
from fae.data.dataset import Images, Source, build_source
from fae.drawing import figures
from fae.drawing.chart import curves
from fae.drawing.pictures import Panel
from fae.runs import provenance
from fae.runs.build import build
from fae.runs.checkpoint import Checkpoints, DurableCheckpointIO, resume_point
from fae.runs.diagnosis import diagnose
from fae.runs.history import History
from fae.runs.job import Job
from fae.runs.progress import ProgressDisplay
from fae.runs.result import Result
from fae.runs.trained import count_parameters
from fae.runtime.console import console
from fae.sweeps.forecast import work
from fae.tracking.lock import claiming
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.training.early_stopping import choose_weights
from fae.training.learner import Learner
from fae.training.metrics import mse_per_image
from fae.training.trainer import build_trainer, check_trainer

STORE_PATIENCE_S = 300
"""How long a run of a sweep waits, before it begins, for a store that is away."""


def check_surroundings(config: Config) -> None:
    """Make sure of what a run needs besides its configuration: the data and the device.

    Raises:
        ConfigError, DataError: it is not there.
    """
    check_trainer(config.trainer)
    build_source(config.data).verify()


@dataclass(frozen=True)
class Fitted:
    """A network that has been trained, and the run in which it was.

    Attributes:
        epoch: the one, from 1, whose weights the network has: the last or, with early stopping,
            the best by ``val/mse``.
    """

    run: Run
    source: Source
    data: ImageDataModule
    learner: Learner
    trainer: pl.Trainer
    history: History
    epoch: int


Claim = Callable[[Job], Job]
"""What a job has become, once no other process on this machine begins one."""


def train(config: Config, job: Job, claim: Claim = lambda job: job) -> Result:
    """Train, test and draw one network, and track all of it.

    Tested are the last weights or, with early stopping, the best by ``val/mse``.

    Args:
        claim: looks again at what other processes have done of the job; what it raises is
            passed on.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: training diverged; the run is FAILED.
    """
    with fitted(config, job, kind="run", claim=claim) as done:
        run, data, learner, history = done.run, done.data, done.learner, done.history
        (test,) = done.trainer.test(learner, data, verbose=False)
        dead = learner.dead_units(Slices(data.train))
        run.set_tags(diagnose(history.epochs, dead).tags())
        shown = data.test[data.test.first_of_each_class()].as_floats()
        panel = _panel(learner, shown, done.source)
        _draw(run, history, panel)
        run.log_model(learner.network.cpu().eval(), panel.originals, step=done.epoch)
        metrics = {
            **test,
            "hidden/dead": dead,
            "model/parameters": count_parameters(learner.network),
            "time/fit_s": history.fit_s,
            "time/total_s": history.total_s,
        }
        run.log_metrics(metrics, step=len(history.epochs))
        work_done = work(config, len(history.epochs))
        run.set_tags({"fae.bytes": str(run.bytes_used()), "fae.work": str(work_done)})
        result = Result(
            job.name, run.id, config.parameters(), history.epochs, done.epoch, metrics, panel
        )
    return replace(result, lacking=run.lacking)


@contextmanager
def fitted(
    config: Config,
    job: Job,
    *,
    kind: str,
    callbacks: Sequence[pl.Callback] = (),
    claim: Claim = lambda job: job,
) -> Iterator[Fitted]:
    """Train one network within a tracked run, which ends with the block.

    Args:
        kind: of the run, as ``Store.run`` has it.
        callbacks: more of them for the trainer.
        claim: as ``train`` has it.

    Raises:
        ConfigError, DataError, StoreError, TrainingError: as ``train``.
    """
    started = time.perf_counter()
    check_surroundings(config)
    source = build_source(config.data)
    fingerprint = provenance.fingerprint(determines_result(config.plain()), source.digest)
    tags = {
        **provenance.tags(config.trainer.accelerator),
        "fae.data_digest": source.digest,
        "fae.fingerprint": fingerprint,
    }
    store = Store(config.tracking, patience_s=STORE_PATIENCE_S if job.sweep else 0)
    with ExitStack() as until_end:
        with claiming(store.uri):
            job = claim(job)
            run = until_end.enter_context(
                store.run(
                    job.name,
                    kind=kind,
                    folder=job.folder,
                    command=job.command,
                    parent=job.sweep.parent if job.sweep else None,
                    parameters=config.parameters(),
                    tags=tags,
                    carry_on=job.carries_on,
                )
            )
        _record_origin(run, config, source)
        data, learner = build(config, source)
        history = History(run, data, started)
        progress, checkpoints = ProgressDisplay(job, console()), Checkpoints(job.folder)
        trainer = build_trainer(
            config.trainer,
            epochs=config.epochs,
            folder=job.folder,
            callbacks=[history, progress, *callbacks, checkpoints],
            checkpoint_io=DurableCheckpointIO(fingerprint),
        )
        start = resume_point(job.folder, fingerprint, learner) if job.carries_on else None
        trainer.fit(learner, data, ckpt_path=start, weights_only=True)
        history.picture(learner)
        epoch = choose_weights(trainer, learner, last=len(history.epochs))
        yield Fitted(run, source, data, learner, trainer, history, epoch)


def _record_origin(run: Run, config: Config, source: Source) -> None:
    run.log_text(yaml.safe_dump(config.plain(), sort_keys=False), "config.yaml")
    run.log_text(provenance.uncommitted_diff(), "uncommitted.diff")
    run.log_text(provenance.installed_versions(), "requirements.txt")
    run.log_data(
        config.data.name,
        source.digest,
        source.origin,
        {"train": config.data.train, "val": config.data.val},
    )


def _panel(learner: Learner, images: Images, source: Source) -> Panel:
    originals = images.pixels.cpu()
    reconstructions = learner.reconstruct(images.pixels)
    return Panel(
        originals.numpy(),
        reconstructions.numpy(),
        mse_per_image(reconstructions, originals).numpy(),
        [source.classes[label] for label in images.labels.tolist()],
    )


def _draw(run: Run, history: History, panel: Panel) -> None:
    run.log_figure(figures.draw(curves({run.name: [history.epochs]})), "figures/curves.png")
    run.log_figure(figures.reconstructions({run.name: panel}), "figures/reconstructions.png")
