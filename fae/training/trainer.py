"""Lightning's Trainer by its configuration."""

import logging
import os
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from fae.errors import ConfigError
from fae.training.config import TrainerConfig
from fae.training.early_stopping import EarlyStopping

EXPECTED_WARNINGS = (
    ".*does not have many workers",  # the images lie in memory
    ".*detect_anomaly=True",  # it was asked for
    ".*LeafSpec.* is deprecated",  # Lightning's affair
    ".*`srun` command is available",  # it is not needed
)

VARIABLE_PREFIX = "PL_TRAINER_"
"""Beginning of environment variables that Lightning takes for arguments of a Trainer."""

NOISY_LOGGERS = ("pytorch_lightning", "lightning_fabric")
"""Loggers that print by themselves where they are imported before Hydra sets up logging, as in
the processes of a launcher."""


def check_trainer(config: TrainerConfig) -> None:
    """Make sure that training will be as configured.

    Raises:
        ConfigError: the accelerator is not there, or the environment sets arguments of the Trainer.
    """
    if variables := [name for name in os.environ if name.startswith(VARIABLE_PREFIX)]:
        raise ConfigError(
            f"{variables[0]}={os.environ[variables[0]]}: would change what Lightning trains, "
            f"whatever the configuration says; unset {' '.join(variables)}"
        )
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
    """A Trainer that does as it is told and nothing more, whatever cluster this may be.

    Args:
        folder: where a profile goes.
        callbacks: among them who saves checkpoints, if ``checkpoint_io`` says how.
    """
    for expected in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", expected)
    for name in NOISY_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Whatever a cluster's variables made of it at import.
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
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
