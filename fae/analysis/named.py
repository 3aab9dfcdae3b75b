"""Which trained run a command means by ``RUN``."""

from collections.abc import Sequence

from fae.analysis.validation import finished, split_of, validation_error
from fae.errors import ConfigError
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive
from fae.tracking.registry import SCHEME, registered_run
from fae.tracking.stored_run import StoredRun

LATEST, BEST = "latest", "best"


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
    runs = finished(archive.runs("run", status="FINISHED"), archive)
    if not runs:
        raise ConfigError(f"RUN: no run has finished yet in tracking.uri={archive.uri}")
    return runs


def _best(runs: Sequence[TrainedRun], latest: TrainedRun) -> TrainedRun:
    alike = [run for run in runs if _validated_on(run) == _validated_on(latest)]
    return min(alike, key=validation_error)


def _validated_on(run: StoredRun) -> tuple[str | None, str]:
    """The same for runs whose validation errors are of the same images."""
    return run.tags.get("fae.data_digest"), split_of(run.parameters)
