"""The best network of some runs as the champion of a registered model, if it is better than that.

Networks are compared by their validation errors, which must be of the same images.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from fae.analysis.named import described
from fae.analysis.validation import finished, split_of, validation_error
from fae.config import Config
from fae.errors import ConfigError, StoreError, UndeliveredError
from fae.runs.run import Result
from fae.runs.stored import TrainedRun
from fae.runtime.console import say
from fae.runtime.formatting import format_error, format_errors
from fae.tracking.archive import Archive, is_measured
from fae.tracking.registry import RegisteredModel, Version
from fae.tracking.stored_run import StoredRun

ERROR, DIGEST, SPLIT = "fae.val_mse", "fae.data_digest", "fae.split"
"""Tags of a version: its validation error, and the images on which that was measured."""
COPIED = (DIGEST, "fae.command", "fae.fingerprint", "fae.commit")
"""Tags that a version has of its run."""


def register(result: Result, config: Config) -> None:
    """Register the network of a run that is no other's job, if a name is given; say what became.

    Raises:
        UndeliveredError: as ``register_best``.
    """
    if name := config.tracking.register:
        with _registering(name):
            archive = Archive(config.tracking)
            run = archive.run(result.run_id)
        say(register_best(name, [run], archive))


def register_best(
    name: str, runs: Iterable[StoredRun], archive: Archive, *, verdict: str = ""
) -> str:
    """Register the run with the lowest validation error as champion; returns what became of it.

    Args:
        name: of the registered model.
        runs: of one store, validated on the same images; those that did not finish do not count.
        verdict: of the sweep that they are of, or empty.

    Raises:
        UndeliveredError: the store cannot be read, or does not accept it.
    """
    with _registering(name):
        trained = finished(runs, archive)
        if not trained:
            return f"nothing is registered as {name}: no run has finished"
        return _register(
            RegisteredModel(name, archive), min(trained, key=validation_error), verdict
        )


@contextmanager
def _registering(name: str) -> Iterator[None]:
    """A problem of the store within the block is one of the registration alone."""
    try:
        yield
    except StoreError as problem:
        raise UndeliveredError(
            f"tracking.register={name}: nothing is registered, everything else is stored; once "
            f"its cause is mended, the same command registers it: {problem}"
        ) from problem


def check_comparable(name: str, configs: Iterable[Config]) -> None:
    """Check that runs are validated on the same images, so that one of them can be called the best.

    Args:
        name: of the registered model.
        configs: of the runs.

    Raises:
        ConfigError: they are not.
    """
    if len({(c.data.build().digest, split_of(c.parameters())) for c in configs}) > 1:
        raise ConfigError(
            f"tracking.register={name}: the runs of this sweep are validated on different images, "
            "whose errors cannot be compared; leave it out, or sweep each data set by itself"
        )


def _register(model: RegisteredModel, best: TrainedRun, verdict: str) -> str:
    name, error, former = model.name, validation_error(best), model.champion()
    if former and (kept := _kept(name, former, best, error)):
        return kept
    version = model.add(best, best.config.data.pixels, _tags(best, error, verdict))
    model.crown(version)
    registered = f"registered {described(best)} as {name} version {version.number}"
    if better := _better_of(model.later_than(former), best, error):
        model.crown(better)
        now, then = format_errors([error, _error_of(better)])
        return (
            f"{registered}: validation error {now}; version {better.number}, which another command "
            f"made meanwhile, has {then} and is its champion"
        )
    if former is None:
        return f"{registered}, its champion: validation error {format_error(error)}"
    now, then = format_errors([error, _error_of(former)])
    return (
        f"{registered}, now its champion: validation error {now}, before {then} "
        f"(version {former.number})"
    )


def _better_of(versions: Sequence[Version], run: TrainedRun, error: float) -> Version | None:
    """The best of the versions with a lower error than a run, if there is one.

    Another command may have looked for the champion before this one made its own. As each looks
    once more afterwards, the best is the champion in the end.
    """
    better = [v for v in versions if not _incomparable(v, run) and _error_of(v) < error]
    return min(better, key=_error_of, default=None)


def _kept(name: str, champion: Version, best: TrainedRun, error: float) -> str:
    """Why the champion stays; empty if the best network is better."""
    if champion.run_id == best.id:
        return (
            f"{described(best)} is the champion of {name} already, version {champion.number}: "
            f"validation error {format_error(error)}"
        )
    if reason := _incomparable(champion, best):
        return (
            f"nothing is registered as {name}: its champion, version {champion.number}, {reason}; "
            f"tracking.register=ANOTHER_NAME registers {described(best)}"
        )
    if error < _error_of(champion):
        return ""
    now, then = format_errors([error, _error_of(champion)])
    return (
        f"the champion of {name} stays version {champion.number}: validation error {then}; the "
        f"best of this command, {described(best)}, has {now}"
    )


def _tags(run: TrainedRun, error: float, verdict: str) -> dict[str, str]:
    return {
        ERROR: repr(error),
        SPLIT: split_of(run.parameters),
        **{tag: run.tags[tag] for tag in COPIED if tag in run.tags},
        **({"fae.verdict": verdict} if verdict else {}),
    }


def _incomparable(champion: Version, run: TrainedRun) -> str:
    """Why a champion's validation error cannot be compared with a run's; empty if it can."""
    if not is_measured(_error_of(champion)):
        return f"has no validation error (tag {ERROR})"
    images = champion.tags.get(DIGEST), champion.tags.get(SPLIT)
    if images != (run.tags.get(DIGEST), split_of(run.parameters)):
        return "was validated on other images, so that errors cannot be compared"
    return ""


def _error_of(version: Version) -> float:
    """By its tag; not a number if that is none."""
    with suppress(ValueError):
        return float(version.tags.get(ERROR, ""))
    return math.nan
