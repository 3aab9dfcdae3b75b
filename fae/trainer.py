"""Lightning's Trainer by its configuration."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from fae.config import TrainerConfig
from fae.errors import ConfigError
from fae.stopping import EarlyStopping

EXPECTED_WARNINGS = (
    ".*does not have many workers",  # the images lie in memory
    ".*detect_anomaly=True",  # it was asked for
    ".*LeafSpec.* is deprecated",  # Lightning's affair
)

LOUD = ("pytorch_lightning", "lightning_fabric")
"""Loggers that print by themselves where they are imported before Hydra sets up logging, as in
the processes of a launcher."""


def check_accelerator(config: TrainerConfig) -> None:
    """Raise a ConfigError where the accelerator that ``config`` names is not there."""
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator=gpu: torch sees no GPU here; use cpu")


def build_trainer(
    config: TrainerConfig,
    *,
    epochs: int,
    folder: Path,
    callbacks: list[Callback],
    checkpoint_io: CheckpointIO | None = None,
) -> pl.Trainer:
    """A Trainer that does as it is told and nothing more.

    Args:
        folder: where a profile goes.
        callbacks: among them who saves checkpoints, if ``checkpoint_io`` says how.
    """
    for expected in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", expected)
    for name in LOUD:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    patience = config.early_stopping
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        max_epochs=epochs,
        callbacks=[*callbacks, *([EarlyStopping(patience)] if patience else [])],
        plugins=checkpoint_io,
        enable_checkpointing=checkpoint_io is not None,
        detect_anomaly=config.detect_anomaly,
        profiler=_profiler(config, folder),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _profiler(config: TrainerConfig, folder: Path) -> Profiler | None:
    if config.profiler is None:
        return None
    kind = SimpleProfiler if config.profiler == "simple" else AdvancedProfiler
    return kind(dirpath=folder, filename="profile")
