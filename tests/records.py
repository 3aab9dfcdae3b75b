"""Runs as the store would have them, made by hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fae.selection import Record, Selection
from fae.summary import Summary, summarise
from fae.tracking import StoredRun

CURVE = [(0.09, 0.0902), (0.05, 0.0501), (0.04, 0.0404)]


def stored(
    run_id: str = "0123456789abcdef",
    *,
    started: int = 0,
    ended: int | None = 1000,
    status: str = "FINISHED",
    metrics: dict[str, float] | None = None,
    **tags: str,
) -> StoredRun:
    named = {f"fae.{name}": tag for name, tag in {"device": "x", "threads": "2", **tags}.items()}
    return StoredRun(run_id, f"run {run_id}", status, started, ended, {}, metrics or {}, named)


def record(
    hidden: int,
    seed: int,
    test: float,
    *,
    fit_s: float = 10.0,
    run: StoredRun | None = None,
    curve: list[tuple[float, float]] = CURVE,
    data: str = "fashion_mnist",
    early_stopping: int | None = None,
    **choices: Any,
) -> Record:
    """A finished run; ``choices`` are dotted keys with dots written as two underscores."""
    metrics = {"test/mse": test, "time/fit_s": fit_s, "hidden/dead": 1.0}
    made = run or stored(f"{hidden:04d}{seed:04d}")
    return Record(
        StoredRun(
            made.id, made.name, made.status, made.started, made.ended, {}, metrics, made.tags
        ),
        {
            "hidden": hidden,
            "seed": seed,
            "data": {"name": data},
            "trainer": {"early_stopping": early_stopping},
        },
        {"hidden": hidden, **{key.replace("__", "."): value for key, value in choices.items()}},
        [{"train/mse": train, "val/mse": val} for train, val in curve],
    )


def pca(_: Record) -> NDArray[np.float64]:
    """Half an error less with each component."""
    return 0.1 * 0.5 ** np.arange(1025, dtype=np.float64)


def summary(
    *records: Record, tolerance: float = 0.03, beside: list[StoredRun] | None = None
) -> Summary:
    return summarise(
        Selection("name", None, list(records), []),
        tolerance=tolerance,
        beside=beside or [],
        pca=pca,
        parameters=lambda record: 10 * int(record.config["hidden"]),
    )
