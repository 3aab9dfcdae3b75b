"""Which trained run a command means by ``RUN``."""

from collections.abc import Sequence

from fae.errors import ConfigError
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive, is_measured
from fae.tracking.registered import SCHEME, registered_run
from fae.tracking.stored_run import StoredRun

LATEST, BEST = "latest", "best"
SPLIT = ("data.train", "data.val", "split_seed", "trainer.limit_batches", "trainer.overfit")
"""Parameters of runs that decide, with the digest of the data set, on which images ``val/mse`` is
measured."""


def named_run(name: str, archive: Archive) -> TrainedRun:
    """The run that a name means; trials of searches and reproductions are never meant.

    Args:
        name: the beginning of a run's id; ``latest``, the run that finished last; ``best``, the one
            with the lowest validation error of those that were validated on the same images as the
            latest; or ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, a version of a model in
            MLflow's registry.

    Raises:
        ConfigError: there is not one such run.
        StoreError: the store cannot be read.
    """
    if name.startswith(SCHEME):
        return _registered(name, archive)
    if name not in {LATEST, BEST}:
        return TrainedRun.find(name, archive, "RUN")
    runs = _finished(archive)
    latest = max(runs, key=lambda run: run.ended or 0)
    return latest if name == LATEST else _best(runs, latest)


def described(run: StoredRun) -> str:
    """The name of a run, and the beginning of its id."""
    return f"{run.name} ({run.id[:8]})"


def _registered(address: str, archive: Archive) -> TrainedRun:
    run_id = registered_run(address, archive)
    for run in archive.runs("run"):
        if run.id == run_id:
            return TrainedRun.of(run, archive)
    raise ConfigError(f"{address}: its run ({run_id[:8] or 'none'}) is not in this experiment")


def _finished(archive: Archive) -> list[TrainedRun]:
    """All runs with a validation error, at least one.

    Raises:
        ConfigError: there are none.
    """
    finished = archive.runs("run", status="FINISHED")
    runs = [run for run in finished if is_measured(run.metrics.get("val/mse", 0))]
    if not runs:
        raise ConfigError(f"RUN: no run has finished yet in tracking.uri={archive.uri}")
    return [TrainedRun.of(run, archive) for run in runs]


def _best(runs: Sequence[TrainedRun], latest: TrainedRun) -> TrainedRun:
    alike = [run for run in runs if _validated_on(run) == _validated_on(latest)]
    return min(alike, key=_validation_error)


def _validated_on(run: StoredRun) -> list[str | None]:
    """The same for runs whose validation errors are of the same images."""
    return [run.tags.get("fae.data_digest"), *(run.parameters.get(key) for key in SPLIT)]


def _validation_error(run: TrainedRun) -> float:
    """Of the weights that the run stored: the last or, with early stopping, the best."""
    if "trainer.early_stopping" in run.parameters:
        return min(epoch["val/mse"] for epoch in run.epochs)
    return run.metrics["val/mse"]
