"""Lightning's Trainer by its configuration."""

import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from fae.config import TrainerConfig
from fae.errors import ConfigError

EXPECTED_WARNINGS = (
    ".*does not have many workers",  # the images lie in memory
    ".*detect_anomaly=True",  # it was asked for
    ".*LeafSpec.* is deprecated",  # Lightning's affair
)


def check_accelerator(config: TrainerConfig) -> None:
    """Raise a ConfigError where the accelerator that ``config`` names is not there."""
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator=gpu: torch sees no GPU here; use cpu")


def build_trainer(
    config: TrainerConfig, *, epochs: int, folder: Path, callbacks: list[Callback]
) -> pl.Trainer:
    """A Trainer that keeps the last and the best checkpoint (by ``val/mse``) in ``folder``."""
    for expected in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", expected)
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        max_epochs=epochs,
        callbacks=[
            *callbacks,
            *_early_stopping(config),
            _checkpoint(folder, "last", monitor=None),
            _checkpoint(folder, "best", monitor="val/mse"),
        ],
        detect_anomaly=config.detect_anomaly,
        profiler=_profiler(config, folder),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def checkpoint_path(folder: Path, name: str) -> Path:
    """Where a run keeps its ``last`` or its ``best`` checkpoint."""
    return folder / "checkpoints" / f"{name}.ckpt"


def _checkpoint(folder: Path, name: str, monitor: str | None) -> ModelCheckpoint:
    """Keeps the epoch with the least ``monitor``, or the latest where there is none."""
    return ModelCheckpoint(
        dirpath=checkpoint_path(folder, name).parent,
        filename=name,
        monitor=monitor,
        enable_version_counter=False,
    )


def _early_stopping(config: TrainerConfig) -> list[Callback]:
    if config.early_stopping is None:
        return []
    return [EarlyStopping("val/mse", patience=config.early_stopping)]


def _profiler(config: TrainerConfig, folder: Path) -> Profiler | None:
    if config.profiler is None:
        return None
    kind = SimpleProfiler if config.profiler == "simple" else AdvancedProfiler
    return kind(dirpath=folder, filename="profile")
