"""Early stopping that keeps the weights of the best epoch."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks
from torch import Tensor


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's early stopping on ``val/mse``, which also keeps the best weights.

    They are part of a checkpoint. So is the decision to stop: a run that is resumed after it
    trains no further.

    Attributes:
        best_epoch: the first epoch, from 1, with the lowest ``val/mse``; 0 before the first.
        best_weights: the ``state_dict`` of that epoch.

    Args:
        patience: epochs without an improvement before training stops.
    """

    def __init__(self, patience: int) -> None:
        super().__init__("val/mse", patience=patience)
        self.best_score = self.best_score.double()  # the dtype of the errors
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._keep(0, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before = self.best_score
        super().on_train_epoch_end(trainer, pl_module)
        if self.best_score < before:
            self._keep(trainer.current_epoch + 1, pl_module)

    def state_dict(self) -> dict[str, Any]:
        best = {"best_epoch": self.best_epoch, "best_weights": self.best_weights}
        return super().state_dict() | best

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.best_epoch = state_dict["best_epoch"]
        self.best_weights = state_dict["best_weights"]

    def _keep(self, epoch: int, pl_module: pl.LightningModule) -> None:
        self.best_epoch = epoch
        weights = pl_module.state_dict()
        self.best_weights = {name: weight.clone() for name, weight in weights.items()}


def choose_weights(trainer: pl.Trainer, learner: pl.LightningModule, last: int) -> int:
    """Load the weights to test into a trained network; returns their epoch, from 1.

    These are the best weights with early stopping, and the last ones without.

    Args:
        last: the last epoch.
    """
    stopping = trainer.early_stopping_callback
    if not isinstance(stopping, EarlyStopping):
        return last
    learner.load_state_dict(stopping.best_weights)
    return stopping.best_epoch
