"""Settings of the Trainer."""

from typing import Literal

from pydantic.dataclasses import dataclass

from fae.runtime.fields import STRICT, Count, Switch


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainerConfig:
    """Settings of Lightning's Trainer."""

    accelerator: Literal["cpu", "gpu"]
    """Device for the computation; the images are held there, too."""
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: matrix products in bfloat16, weights and errors in single precision."""
    early_stopping: Count | None
    """Patience: epochs without a lower ``val/mse`` before training stops and the best weights are
    tested; null: train for all epochs and test the last weights."""
    limit_batches: Count | None
    """Maximum number of batches of each pass, for debugging; null: all."""
    detect_anomaly: Switch
    """Stop at the operation whose gradient is nan; slow."""
    profiler: Literal["simple", "advanced"] | None
    """Write a profile into the run's folder; null: none."""
