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
from fae.runtime.seeding import Stream, seed_torch, stream_seed
from fae.training.evaluation import Evaluation, dead_units, weighted_mean
from fae.training.optimizers import OptimizerConfig


class Learner(pl.LightningModule):
    """Trains a network to reconstruct images with the least mean squared error.

    Lightning passes many batches at a time (``fae.data.datamodule.BatchChunk``): a
    ``training_step`` takes one optimizer step per batch, all of which ``global_step`` counts.
    Logs at the end of each epoch ``train/loss`` (mean of the batches' losses weighted by their
    numbers of images, with dropout) and, in evaluation mode, ``train/mse`` and ``val/mse`` over all
    images of a split; ``test/mse`` when tested.

    Args:
        network: the network to train.
        optimizer: settings of the optimizer and its schedule.
        lr: learning rate.
        seed: seed of the random numbers that the network draws in training, as for dropout.
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

        In evaluation mode and single precision, like the logged model.
        """
        training = self.training
        self.eval()
        reconstructions: Tensor = self(images.to(self.device))
        self.train(training)
        return reconstructions.cpu()

    @torch.inference_mode()
    def dead_units(self, batches: EvalBatches) -> int:
        """Number of hidden units whose output is the same for all images."""
        return dead_units(self.network.encode(images.to(self.device)) for images in batches)

    def training_step(self, chunk: BatchChunk, batch_idx: int) -> None:
        """Take one optimizer step per batch.

        Raises:
            TrainingError: the loss of a batch is not finite.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        schedule = self.lr_schedulers()
        assert schedule is None or isinstance(schedule, LRScheduler)
        losses = []
        steps = range(chunk.start, chunk.start + len(chunk))
        # Ahead of the steps: between them it would take several times as long.
        seeds = [stream_seed(self.seed, Stream.DROPOUT, self.current_epoch, step) for step in steps]
        for seed, images in zip(seeds, chunk, strict=True):
            seed_torch(seed)
            loss = self.network.error(images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
            losses.append(loss.detach())
        # Lightning's optimizer wrapper would count, too, but adds 5 % to the time of a small step.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.total.completed += len(chunk)
        self._log_losses(torch.stack(losses), chunk)

    def validation_step(self, batches: EvalBatches, batch_idx: int, dataloader_idx: int) -> None:
        evaluation = self.val_evaluation if dataloader_idx else self.train_evaluation
        self._evaluate(batches, evaluation)

    def on_validation_epoch_end(self) -> None:
        self._log_and_reset("train", self.train_evaluation)
        self._log_and_reset("val", self.val_evaluation)

    def test_step(self, batches: EvalBatches, batch_idx: int) -> None:
        self._evaluate(batches, self.test_evaluation)

    def on_test_epoch_end(self) -> None:
        self._log_and_reset("test", self.test_evaluation)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizer = self.optimizer.build(self.network.parameters(), self.lr)
        schedule = self.optimizer.build_schedule(optimizer, self.lr, self.steps)
        return [optimizer], [schedule] if schedule else []

    def _evaluate(self, batches: EvalBatches, evaluation: Evaluation) -> None:
        for images in batches:
            evaluation.update(self.network.residuals(images))

    def _log_losses(self, losses: Tensor, chunk: BatchChunk) -> None:
        """Log the mean loss over the images of all batches, if all losses are finite."""
        finite = torch.isfinite(losses)
        if not finite.all():
            step = int(finite.int().argmin())
            raise TrainingError(
                f"loss is {losses[step].item()} at epoch {self.current_epoch + 1}, step "
                f"{chunk.start + step + 1}: training diverged; lower lr={self.lr:g}"
            )
        self.log(
            "train/loss",
            _double(weighted_mean(losses, chunk.sizes)),
            on_step=False,
            on_epoch=True,
            batch_size=sum(chunk.sizes),
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
    """A value as a tensor that Lightning does not round to single precision."""
    return torch.tensor(value, dtype=torch.float64)
