"""The validation error by which trained networks are compared, and the images that it is of."""

from collections.abc import Iterable, Mapping

from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive, is_measured
from fae.tracking.stored_run import StoredRun

SPLIT = ("data.train", "data.val", "split_seed", "trainer.limit_batches", "trainer.overfit")
"""Parameters of runs that decide, with the digest of the data set, on which images ``val/mse`` is
measured."""


def finished(runs: Iterable[StoredRun], archive: Archive) -> list[TrainedRun]:
    """Those that have finished, and have a validation error."""
    return [
        TrainedRun.of(run, archive)
        for run in runs
        if run.status == "FINISHED" and is_measured(run.metrics.get("val/mse", 0))
    ]


def validation_error(run: TrainedRun) -> float:
    """``val/mse`` of the weights that the run stored: the last or, with early stopping, the best.

    Raises:
        UnreadableError: the run's curves cannot be read.
    """
    if "trainer.early_stopping" in run.parameters:
        return min(epoch["val/mse"] for epoch in run.epochs)
    return run.metrics["val/mse"]


def split_of(parameters: Mapping[str, object]) -> str:
    """Which images of a data set are validated on, by the parameters of a run."""
    return " ".join(f"{key}={parameters[key]}" for key in SPLIT if key in parameters)
