"""The learner: loss, metrics and optimizer around a network, for Lightning's Trainer."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fae.data.datamodule import BatchChunk, EvalBatches
from fae.errors import TrainingError
from fae.models.network import Network
from fae.runtime.seeding import Stream, seed_torch
from fae.training.metrics import Evaluation, dead_units, weighted_mean
from fae.training.optimizers import OptimizerConfig


class Learner(pl.LightningModule):
    """Teaches a network to reconstruct images, by their mean squared error.

    Lightning hands on many minibatches at a time (``fae.data.datamodule.BatchChunk``): a
    ``training_step`` is as many optimizer steps, all of which ``global_step`` counts.
    Logs at each epoch's end ``train/loss`` (mean of the minibatch losses weighted by their
    images, dropout on) and, in evaluation mode, ``train/mse`` and ``val/mse`` over all images
    of either split; ``test/mse`` when tested.

    Args:
        network: reconstructs (batch, pixels) from (batch, pixels).
        optimizer: which optimizer and schedule.
        lr: learning rate.
        seed: seed of whatever the network draws in training, such as dropout.
        steps: optimizer steps of the whole run, for the schedule.
    """

    def __init__(
        self,
        network: Network,
        optimizer: OptimizerConfig,
        *,
        lr: float,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer = optimizer
        self.lr = lr
        self.seed = seed
        self.steps = steps
        self.automatic_optimization = False
        self.train_evaluation = Evaluation()
        self.val_evaluation = Evaluation()
        self.test_evaluation = Evaluation()

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
    def dead_units(self, slices: EvalBatches) -> int:
        """Hidden units that give the same output for all images."""
        return dead_units(self.network.encode(images.to(self.device)) for images in slices)

    def training_step(self, minibatches: BatchChunk, batch_idx: int) -> None:
        """One optimizer step a minibatch.

        Raises:
            TrainingError: the error of a minibatch is not a finite number.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        schedule = self.lr_schedulers()
        assert schedule is None or isinstance(schedule, LRScheduler)
        losses = []
        for step, images in enumerate(minibatches, start=minibatches.start):
            seed_torch(self.seed, Stream.DROPOUT, self.current_epoch, step)
            loss = self.network.error(images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
            losses.append(loss.detach())
        # Lightning's wrapper of the optimizer would count, and cost a twentieth of a small step.
        counted = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        counted.total.completed += len(minibatches)
        self._log_losses(torch.stack(losses), minibatches)

    def validation_step(self, slices: EvalBatches, batch_idx: int, dataloader_idx: int) -> None:
        evaluation = self.val_evaluation if dataloader_idx else self.train_evaluation
        self._evaluate(slices, evaluation)

    def on_validation_epoch_end(self) -> None:
        self._log_and_reset("train", self.train_evaluation)
        self._log_and_reset("val", self.val_evaluation)

    def test_step(self, slices: EvalBatches, batch_idx: int) -> None:
        self._evaluate(slices, self.test_evaluation)

    def on_test_epoch_end(self) -> None:
        self._log_and_reset("test", self.test_evaluation)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizer = self.optimizer.build(self.network.parameters(), self.lr)
        schedule = self.optimizer.build_schedule(optimizer, self.lr, self.steps)
        return [optimizer], [schedule] if schedule else []

    def _evaluate(self, slices: EvalBatches, evaluation: Evaluation) -> None:
        for images in slices:
            evaluation.update(self.network.residuals(images))

    def _log_losses(self, losses: Tensor, minibatches: BatchChunk) -> None:
        """Log the mean over the images of all minibatches, if it is finite."""
        finite = torch.isfinite(losses)
        if not finite.all():
            step = int(finite.int().argmin())
            raise TrainingError(
                f"loss is {losses[step].item()} at epoch {self.current_epoch + 1}, step "
                f"{minibatches.start + step + 1}: training diverged; lower lr={self.lr:g}"
            )
        self.log(
            "train/loss",
            _double(weighted_mean(losses, minibatches.sizes)),
            on_step=False,
            on_epoch=True,
            batch_size=sum(minibatches.sizes),
        )

    def _log_and_reset(self, split: str, evaluation: Evaluation) -> None:
        for name, value in evaluation.compute().items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{split}/{name} is {value} after step {self.global_step}: "
                    f"training diverged; lower lr={self.lr:g}"
                )
            self.log(f"{split}/{name}", _double(value))
        evaluation.reset()


def _double(value: float) -> Tensor:
    """A value that Lightning does not round to single precision."""
    return torch.tensor(value, dtype=torch.float64)
