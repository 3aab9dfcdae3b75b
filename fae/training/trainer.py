"""Builds Lightning's Trainer from its configuration."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from fae.training.config import TrainerConfig
from fae.training.early_stopping import EarlyStopping

EXPECTED_WARNINGS = (
    ".*does not have many workers",  # the images are held in memory
    ".*detect_anomaly=True",  # requested by the user
    ".*LeafSpec.* is deprecated",  # internal to Lightning
    ".*`srun` command is available",  # not needed
    "GPU available but not used",  # as configured
)

NOISY_LOGGERS = ("pytorch_lightning", "lightning_fabric")
"""Loggers with handlers of their own if they are imported before Hydra configures logging, as in
the processes of a launcher."""


def build_trainer(
    config: TrainerConfig,
    *,
    epochs: int,
    folder: Path,
    callbacks: list[Callback],
    checkpoint_io: CheckpointIO | None = None,
) -> pl.Trainer:
    """A Trainer that follows the configuration only, on any cluster.

    Args:
        folder: folder for a profile.
        callbacks: include the one that saves checkpoints if ``checkpoint_io`` is given.
    """
    for expected in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", expected)
    for name in NOISY_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # At import, Lightning sets the rank from the variables of a cluster.
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    # Or products would be rounded to TF32 or bfloat16, whatever the precision says.
    torch.set_float32_matmul_precision("highest")
    patience = config.early_stopping
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        max_epochs=epochs,
        callbacks=[*callbacks, *([EarlyStopping(patience)] if patience else [])],
        plugins=[LightningEnvironment(), *([checkpoint_io] if checkpoint_io else [])],
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
