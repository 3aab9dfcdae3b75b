"""History of a run: the metrics and times of its epochs, and pictures of some."""

import time
from typing import Any

import pytorch_lightning as pl

from fae.data.datamodule import ImageDataModule
from fae.data.examples import examples
from fae.drawing.pictures import pairs
from fae.tracking.run import Run
from fae.training.learner import Learner


class History(pl.Callback):
    """Keeps each epoch's metrics, writes them to the store, and times the training.

    Also stored are each epoch's ``wall_clock/train_s``, its training pass, and
    ``wall_clock/epoch_s``, with both evaluations. All of it is part of a checkpoint.

    Attributes:
        epochs: one entry per finished epoch, metric name to value.
        fit_s: seconds spent in batches and evaluations so far, the paper's time; what
            happens between them (checkpoints, tracking, pictures) is left out.

    Args:
        run: where to write.
        data: whose validation images are pictured.
        started: when this process began with the run, by ``time.perf_counter``.
    """

    def __init__(self, run: Run, data: ImageDataModule, started: float) -> None:
        self.run = run
        self.data = data
        self.epochs: list[dict[str, float]] = []
        self.fit_s = 0.0
        self._started = started
        self._before_s = 0.0
        self._epoch_start = self._train_s = self._epoch_s = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for done, metrics in enumerate(self.epochs, 1):
            self.run.log_metrics(metrics, step=done)  # new if the disk was full when it ended
        if not self.epochs:
            self.picture(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._train_s = time.perf_counter() - self._epoch_start

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_s = time.perf_counter() - self._epoch_start
        self.fit_s += self._epoch_s

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append(metrics)
        done = len(self.epochs)
        times = {"wall_clock/train_s": self._train_s, "wall_clock/epoch_s": self._epoch_s}
        self.run.log_metrics({**metrics, **times}, step=done)
        if _worth_a_picture(done):
            self.picture(pl_module)

    @property
    def total_s(self) -> float:
        """Seconds of the run so far, set-up included, but not what was lost in a crash."""
        return self._before_s + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "fit_s": self.fit_s, "total_s": self.total_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.fit_s = state_dict["epochs"], state_dict["fit_s"]
        self._before_s = state_dict["total_s"]

    def picture(self, pl_module: pl.LightningModule) -> None:
        """Store reconstructions of validation images after the epochs so far."""
        assert isinstance(pl_module, Learner)
        val = self.data.val
        images = val[examples(val)].as_floats().pixels
        reconstructed = pl_module.reconstruct(images).numpy()
        self.run.log_image(
            pairs(images.cpu().numpy(), reconstructed), "reconstructions", step=len(self.epochs)
        )


def _worth_a_picture(epoch: int) -> bool:
    """1, 2, 5, 10, 20, 50, ...: the epochs between which a network visibly learns."""
    return str(epoch).rstrip("0") in {"1", "2", "5"}
