"""The overfit test: a network that cannot learn a few images by heart has a fault."""

from typing import Any

import pytorch_lightning as pl

from fae.data.datamodule import ImageDataModule
from fae.data.images import Images
from fae.errors import ConfigError, TrainingError
from fae.runtime.formatting import format_error, format_share
from fae.training.config import TrainerConfig

FOUND = "fae.overfit"
"""Tag of a run: what the overfit test found."""


class StopAtTarget(pl.Callback):
    """Stops training after the first epoch with an error on the training images below a target.

    That is part of a checkpoint: a run that is resumed afterwards trains no further.
    """

    def __init__(self, target: float) -> None:
        self.target = target
        self.is_reached = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self.is_reached

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.is_reached = trainer.callback_metrics["train/mse"].item() < self.target
        trainer.should_stop = self.is_reached

    def state_dict(self) -> dict[str, Any]:
        return {"is_reached": self.is_reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.is_reached = state_dict["is_reached"]


def overfit_test(data: ImageDataModule, config: TrainerConfig) -> list[StopAtTarget]:
    """With ``trainer.overfit``, keep the first batch of images alone, for validation as well.

    Lightning's ``overfit_batches`` would put its own sampler in place of the one that makes batches
    here, and it knows no error that is to be reached.

    Args:
        data: before it is set up.

    Returns:
        What stops training once the error is low enough; nothing without that setting.

    Raises:
        ConfigError: the images are all the same, so that there is nothing to learn.
    """
    if config.overfit is None:
        return []
    batch = data.split[0][: data.batch_size]
    data.split = batch, batch
    if not variance(batch):
        raise ConfigError(
            f"batch_size={data.batch_size}: the images of the overfit test are all the same; "
            "give more of them"
        )
    return [StopAtTarget(config.overfit * variance(batch))]


def variance(images: Images) -> float:
    """The mean over pixels of their variance over images, in [0, 1].

    The least error of a network that makes the same image of all of them.
    """
    return images.as_floats().pixels.double().var(dim=0, correction=0).mean().item()


def check_overfitted(share: float, hidden: int, batch: Images, error: float) -> str:
    """That a network has learnt its batch by heart, in words.

    Args:
        share: of the variance of the batch, that the error must be below.
        hidden: size of the code.
        error: mean squared error on the batch after training.

    Raises:
        TrainingError: it has not.
    """
    reached = error / variance(batch)
    found = (
        f"overfit  error {format_error(error)} on {len(batch)} images, "
        f"{format_share(reached, '.2f')} of their variance"
    )
    if reached >= share:
        raise TrainingError(
            f"{found}; below {format_share(share)} was to be reached: the network has a fault, or "
            f"too few epochs, or hidden={hidden} is too small a code for so many images"
        )
    return found
