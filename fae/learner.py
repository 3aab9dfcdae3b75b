"""The learner: loss, metrics and optimizer around a network, for Lightning's Trainer."""

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import mse_loss
from torchmetrics import MetricCollection

from fae.config import AdamConfig, SGDConfig
from fae.data import EVALUATION_BATCH
from fae.errors import TrainingError
from fae.metrics import dead_units, evaluation_metrics
from fae.network import AutoEncoder
from fae.optimizer import build_optimizer, build_schedule
from fae.randomness import Stream, seed_torch


class Learner(pl.LightningModule):
    """Teaches a network to reconstruct images, by their mean squared error.

    Logs at each epoch's end ``train/loss`` (mean of the minibatch losses weighted by their
    images, dropout on) and, in evaluation mode, ``train/mse`` and ``val/mse`` over all images
    of either split; ``test/mse`` when tested.

    Args:
        network: reconstructs (batch, pixels) from (batch, pixels).
        optimizer: which optimizer and schedule.
        lr: learning rate.
        seed: seed of whatever the network draws in training, such as dropout.
    """

    def __init__(
        self, network: AutoEncoder, optimizer: SGDConfig | AdamConfig, *, lr: float, seed: int
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer = optimizer
        self.lr = lr
        self.seed = seed
        self.train_metrics = evaluation_metrics("train")
        self.val_metrics = evaluation_metrics("val")
        self.test_metrics = evaluation_metrics("test")

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, pixels) of images (batch, pixels) in [0, 1]."""
        reconstructions: Tensor = self.network(images)
        return reconstructions.float()

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstructions (batch, pixels) of images (batch, pixels), on the CPU.

        In evaluation mode and single precision, as the logged model gives them.
        """
        training = self.training
        self.eval()
        reconstructions: Tensor = self(images.to(self.device))
        self.train(training)
        return reconstructions.cpu()

    @torch.inference_mode()
    def dead_units(self, images: Tensor) -> int:
        """Hidden units that give the same output for all images (batch, pixels)."""
        return dead_units(map(self.network.encode, images.split(EVALUATION_BATCH)))

    def training_step(self, images: Tensor, batch_idx: int) -> Tensor:
        """Mean squared error of a batch.

        Raises:
            TrainingError: the error is not a finite number.
        """
        seed_torch(self.seed, Stream.DROPOUT, self.current_epoch, batch_idx)
        loss = mse_loss(self(images), images)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss is {loss.item()} at epoch {self.current_epoch + 1}, step "
                f"{self.global_step + 1}: training diverged; lower lr={self.lr:g}"
            )
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, images: Tensor, batch_idx: int, dataloader_idx: int) -> None:
        metrics = self.val_metrics if dataloader_idx else self.train_metrics
        metrics.update(self(images), images)

    def on_validation_epoch_end(self) -> None:
        self._log_and_reset(self.train_metrics)
        self._log_and_reset(self.val_metrics)

    def test_step(self, images: Tensor, batch_idx: int) -> None:
        self.test_metrics.update(self(images), images)

    def on_test_epoch_end(self) -> None:
        self._log_and_reset(self.test_metrics)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = build_optimizer(self.optimizer, self.network.parameters(), self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(self.optimizer.schedule, optimizer, self.lr, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _log_and_reset(self, metrics: MetricCollection) -> None:
        values = metrics.compute()
        metrics.reset()
        for name, value in values.items():
            if not torch.isfinite(value):
                raise TrainingError(
                    f"{name} is {value.item()} after step {self.global_step}: "
                    f"training diverged; lower lr={self.lr:g}"
                )
        self.log_dict(values)
