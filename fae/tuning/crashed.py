"""Trials whose process has crashed on another machine, or where this one does not see it."""

from optuna.trial import FrozenTrial

from fae.tracking.archive import Archive
from fae.tracking.liveness import Watch, is_crashed
from fae.tracking.stored_run import StoredRun


class CrashedTrials:
    """Tells by a trial's run in the store whether its process has crashed, as for all runs.

    A trial without a run, or with one that has finished, is about to begin or to end; its process
    counts as crashed if that takes too long.

    Args:
        parent: id of the study's run.
        silence_s: without a sign of life after which a run counts as dead.
    """

    def __init__(self, parent: str, archive: Archive, silence_s: float) -> None:
        self.parent = parent
        self.archive = archive
        self.watch = Watch(silence_s)

    def __call__(self, trial: FrozenTrial) -> bool:
        runs = runs_of(self.archive, self.parent, trial.number)
        run = runs[-1] if runs else None
        if run is None or run.status == "FINISHED":
            sign = trial.user_attrs, trial.intermediate_values
            return self.watch.is_silent(f"trial {trial.number}", sign)
        if run.status != "RUNNING" or is_crashed(run, self.archive.uri):
            return True
        return bool(self.watch.look([run])) and self.archive.take_over(run)


def runs_of(archive: Archive, parent: str, number: int) -> list[StoredRun]:
    """The runs of a trial, oldest first."""
    return archive.runs("trial", parent=parent, folder=f"trial-{number}")
