"""One run, from its configuration to its result."""

import time

import yaml
from rich import get_console

from fae import charts, figures, provenance
from fae.config import Config, determines_result
from fae.data import ImageDataModule, Slices
from fae.diagnosis import diagnose
from fae.history import History
from fae.job import Job
from fae.learner import Learner
from fae.metrics import mse_per_image
from fae.network import AutoEncoder
from fae.progress import ProgressDisplay
from fae.randomness import Stream, seed_torch
from fae.result import Panel, Result
from fae.sources import Images, Source, build_source
from fae.tracking import Run, Store
from fae.trainer import build_trainer, check_accelerator, checkpoint_path


def check_surroundings(config: Config) -> None:
    """Make sure of what a run needs besides its configuration: the data and the device.

    Raises:
        ConfigError, DataError: it is not there.
    """
    check_accelerator(config.trainer)
    build_source(config.data).verify()


def train(config: Config, job: Job) -> Result:
    """Train, test and draw one network, and track all of it.

    Tested are the last weights or, with early stopping, the best by ``val/mse``.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: training diverged; the run is FAILED.
    """
    started = time.perf_counter()
    check_surroundings(config)
    source = build_source(config.data)
    with Store(config.tracking).run(
        job.name,
        kind="run",
        folder=job.folder,
        command=job.command,
        parent=job.sweep.parent if job.sweep else None,
        parameters=config.parameters(),
        tags={
            **provenance.tags(config.trainer.accelerator),
            "fae.data_digest": source.digest,
            "fae.fingerprint": provenance.fingerprint(
                determines_result(config.plain()), source.digest
            ),
        },
    ) as run:
        _record_origin(run, config, source)
        data, learner = build(config, source)
        history = History(run, data)
        trainer = build_trainer(
            config.trainer,
            epochs=config.epochs,
            folder=job.folder,
            callbacks=[history, ProgressDisplay(job, get_console())],
        )
        trainer.fit(learner, data)
        stopped_early = config.trainer.early_stopping is not None
        tested_epoch = history.best_epoch() if stopped_early else len(history.epochs)
        weights = checkpoint_path(job.folder, "best") if stopped_early else None
        (test,) = trainer.test(learner, data, weights, verbose=False, weights_only=True)
        dead = learner.dead_units(Slices(data.train))
        run.set_tags(diagnose(history.epochs, dead).tags())
        shown = data.test[data.test.first_of_each_class()].as_floats()
        panel = _panel(learner, shown, source)
        _draw(run, history, panel)
        run.log_model(learner.network.cpu().eval(), panel.originals, step=tested_epoch)
        metrics = {
            **test,
            "hidden/dead": dead,
            "time/fit_s": history.fit_s,
            "time/total_s": time.perf_counter() - started,
        }
        run.log_metrics(metrics, step=len(history.epochs))
        return Result(
            job.name, run.id, config.parameters(), history.epochs, tested_epoch, metrics, panel
        )


def build(config: Config, source: Source) -> tuple[ImageDataModule, Learner]:
    """The data module and the learner, its network initialised from the seed."""
    data = ImageDataModule(
        source,
        train=config.data.train,
        val=config.data.val,
        split_seed=config.data.split_seed,
        batch_size=config.batch_size,
        seed=config.seed,
        limit=config.trainer.limit_batches,
    )
    seed_torch(config.seed, Stream.INITIALISATION)
    network = AutoEncoder(
        source.side**2,
        config.hidden,
        dropout=config.dropout,
        hidden_activation=config.model.hidden_activation,
        output_activation=config.model.output_activation,
    )
    learner = Learner(
        network,
        config.optimizer,
        lr=config.lr,
        seed=config.seed,
        steps=config.epochs * data.steps_per_epoch,
    )
    return data, learner


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
    curves = charts.curves({run.name: [history.epochs]})
    run.log_figure(figures.draw(curves), "figures/curves.png")
    run.log_figure(figures.reconstructions({run.name: panel}), "figures/reconstructions.png")
