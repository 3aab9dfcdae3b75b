"""Builds Lightning's Trainer from its configuration."""

import logging
import os
import platform
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
from fae.runtime import processor
from fae.training.config import APPLE, TrainerConfig
from fae.training.early_stopping import EarlyStopping

EXPECTED_WARNINGS = (
    ".*does not have many workers",  # the images are held in memory
    ".*detect_anomaly=True",  # requested by the user
    ".*LeafSpec.* is deprecated",  # internal to Lightning
    ".*`srun` command is available",  # not needed
    "GPU available but not used",  # as configured
)

VARIABLE_PREFIX = "PL_TRAINER_"
"""Prefix of environment variables that Lightning reads as arguments of a Trainer."""

NOISY_LOGGERS = ("pytorch_lightning", "lightning_fabric")
"""Loggers with handlers of their own if they are imported before Hydra configures logging, as in
the processes of a launcher."""


def check_trainer(config: TrainerConfig) -> None:
    """Check that training can run as configured.

    Raises:
        ConfigError: the accelerator is missing, the processor lacks instructions for the precision,
            or the environment sets arguments of the Trainer.
    """
    if variables := [name for name in os.environ if name.startswith(VARIABLE_PREFIX)]:
        raise ConfigError(
            f"{variables[0]}={os.environ[variables[0]]}: would override the configuration in "
            f"Lightning; unset {' '.join(variables)}"
        )
    if config.accelerator == "gpu" and platform.system() == "Darwin":
        raise ConfigError(f"trainer.accelerator=gpu: {APPLE}")
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator=gpu: torch finds no GPU; use cpu")
    if config.kernels == "onednn" and not torch.backends.mkldnn.is_available():
        raise ConfigError("trainer.kernels=onednn: this PyTorch was built without oneDNN; use auto")
    emulated = config.precision == "bf16-mixed" and config.accelerator == "cpu"
    if emulated and not config.emulate_bf16 and not processor.has_bfloat16():
        raise ConfigError(
            f"trainer.precision=bf16-mixed: this processor ({processor.name()}) has no bfloat16 "
            "instructions, and would take longer than with trainer.precision=32-true (17 times as "
            "long on an AMD EPYC with AVX2); trainer.emulate_bf16=true insists"
        )


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
