"""Settings of the Trainer."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.runtime.fields import STRICT, Count, Switch

APPLE = "Apple's GPUs lack double precision, in which errors are added up; use cpu"


def _not_apple(accelerator: object) -> object:
    if accelerator == "mps":
        raise ConfigError(f"trainer.accelerator=mps: {APPLE}")
    return accelerator


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainerConfig:
    """Settings of Lightning's Trainer."""

    accelerator: Annotated[Literal["cpu", "gpu"], BeforeValidator(_not_apple)]
    """Device for the computation; the images are held there, too. gpu: by CUDA."""
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: matrix products in bfloat16, weights and errors in single precision; refused on a
    processor that has no instructions for them."""
    early_stopping: Count | None
    """Patience: epochs without a lower ``val/mse`` before training stops and the best weights are
    tested; null: train for all epochs and test the last weights."""
    limit_batches: Count | None
    """Maximum number of batches of each pass, for debugging; null: all."""
    detect_anomaly: Switch
    """Stop at the operation whose gradient is nan; slow."""
    profiler: Literal["simple", "advanced"] | None
    """Write a profile of the time that parts of a run take into its folder; null: none."""
    kernels: Literal["auto", "onednn", "torch"] = "auto"
    """Which library computes products of single precision on a CPU: oneDNN, or the one that PyTorch
    calls by itself (MKL); auto: what is quicker on this processor. They round differently."""
    emulate_bf16: Switch = False
    """Accept bf16-mixed on a processor without bfloat16 instructions, where it is slower than
    single precision (docs/speed.md)."""
    overfit: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None
    """Train on the first batch alone until its error is below this share of its variance over
    images, and fail otherwise: a network that cannot learn a few images by heart has a fault. Needs
    ``trainer.limit_batches=1``; null: train as usual."""

    @model_validator(mode="after")
    def _overfit_on_one_batch(self) -> "TrainerConfig":
        if self.overfit and self.limit_batches != 1:
            limit = "null" if self.limit_batches is None else self.limit_batches
            raise ConfigError(
                f"trainer.limit_batches={limit}: must be 1 with trainer.overfit, as in "
                "experiment=overfit"
            )
        if self.overfit and self.early_stopping:
            raise ConfigError(
                f"trainer.early_stopping={self.early_stopping}: would end the overfit test before "
                "it has an answer; leave out one of trainer.early_stopping and trainer.overfit"
            )
        return self
