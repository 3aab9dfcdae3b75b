"""What training needs of the machine, apart from the code that trains: no part of a fingerprint."""

import os
import platform

import torch

from fae.errors import ConfigError
from fae.runtime import processor
from fae.training.config import APPLE, TrainerConfig

VARIABLE_PREFIX = "PL_TRAINER_"
"""Prefix of environment variables that Lightning reads as arguments of a Trainer."""


def check_environment() -> None:
    """Check that the environment sets no arguments of the Trainer.

    Raises:
        ConfigError: it does.
    """
    if variables := [name for name in os.environ if name.startswith(VARIABLE_PREFIX)]:
        raise ConfigError(
            f"{variables[0]}={os.environ[variables[0]]}: would override the configuration in "
            f"Lightning; unset {' '.join(variables)}"
        )


def check_trainer(config: TrainerConfig) -> None:
    """Check that training can run as configured, on this machine and in this environment.

    Raises:
        ConfigError: the accelerator is missing, the processor lacks instructions for the precision,
            or the environment sets arguments of the Trainer.
    """
    check_environment()
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
