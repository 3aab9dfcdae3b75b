"""How a job of a queue ended that did not end well, and the run that tells so."""

import time
from contextlib import suppress
from pathlib import Path

from fae.cli.overrides import command_line
from fae.errors import TrainingError
from fae.runs.task import State, Task
from fae.tracking.archive import Archive
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun


class JobEndError(TrainingError):
    """A job did not end well.

    Attributes:
        job: its id, which its run has as ``fae.job``; empty where runs have none.
        is_cancelled: somebody ended it.
        is_death: it died by itself, without a chance to close its run.
    """

    def __init__(
        self, cause: str, job: str = "", *, is_cancelled: bool = False, is_death: bool = False
    ) -> None:
        super().__init__(cause)
        self.job = job
        self.is_cancelled = is_cancelled
        self.is_death = is_death


def settle(
    task: Task, run: StoredRun | None, end: JobEndError, archive: Archive, parent: str, folder: Path
) -> str:
    """Close the run of a job that has ended, or store one as FAILED that tells why there is none.

    A run that another process computes, or can resume, is left alone.

    Args:
        task: with what the store knows of it by now.
        run: what the job has begun or resumed, if anything.
        parent: id of the sweep's run.
        folder: of a run that is stored here.

    Returns:
        Why it failed; empty if it did not, or if it is running in another process.
    """
    cause = str(end)
    if run is None:
        if task.state in {State.DONE, State.RUNNING}:
            return ""
        if not end.is_cancelled and not task.resumes:
            _store_failed(task, cause, parent, folder)
        return cause
    if run.status == "FINISHED":
        return ""
    if run.status == "FAILED":
        return run.tags.get("fae.error", cause)
    if end.is_death:
        archive.close(run, "FAILED", run.ended or int(time.time() * 1000), cause)
    elif run.status == "RUNNING":
        archive.close(run, "KILLED", int(time.time() * 1000))
    return cause


def _store_failed(task: Task, cause: str, parent: str, folder: Path) -> None:
    """Store a run that failed before it could say so itself."""
    store = Store(task.config.tracking)
    folder.mkdir(parents=True, exist_ok=True)
    begun = store.run(
        task.name,
        kind="run",
        folder=folder,
        command=command_line(task.overrides),
        parent=parent,
        parameters=task.config.parameters(),
        tags={"fae.fingerprint": task.fingerprint},
    )
    with suppress(TrainingError), begun:
        raise TrainingError(cause)
