"""Where and how to compute."""

from typing import Literal

from pydantic.dataclasses import dataclass

from fae.runtime.fields import STRICT, Count, Switch


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainerConfig:
    """Settings of Lightning's Trainer."""

    accelerator: Literal["cpu", "gpu"]
    """Where to compute; the images live there too."""
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: matrix products in bfloat16, weights and errors in single precision."""
    early_stopping: Count | None
    """Epochs without a better ``val/mse`` before training stops and the best weights are
    tested; null: train to the last epoch and test that."""
    limit_batches: Count | None
    """Batches of each pass, to look for a fault; null: all."""
    detect_anomaly: Switch
    """Stop at the operation that makes a gradient nan; slow."""
    profiler: Literal["simple", "advanced"] | None
    """Write where the time went into the run's folder."""
