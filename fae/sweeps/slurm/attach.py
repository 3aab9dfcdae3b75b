"""Finding the jobs that Slurm has already for the runs of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fae.runs.task import QueuedJob, State, Task
from fae.sweeps import parent_run
from fae.sweeps.slurm import queue, record
from fae.sweeps.slurm.queue import CANCELLED, COMPLETED, JobState
from fae.sweeps.slurm.record import Submitted
from fae.tracking.archive import Archive
from fae.tracking.folder import home

JOBS, RECORDED = "fae.slurm", "fae.slurm.folder"
"""Tags of a sweep: ids of its jobs, a job array having one, and the folder of their record."""


def attach(tasks: Sequence[Task], archive: Archive | None, identity: str) -> list[Task]:
    """The tasks, of which those that have a job are QUEUED.

    These are the tasks whose job is in the queue or running, and, if this very sweep submitted it,
    those whose job ended without that any command has seen it, or was cancelled. A cancelled job
    stays so until ``sweep.retry_failed``.

    Args:
        identity: of the sweep.

    Raises:
        StoreError: the store cannot be read.
        QueueError: Slurm does not answer.
    """
    settings = tasks[0].config.sweep
    if archive is None or settings.rerun:
        return list(tasks)
    own, others = _submitted(identity, archive)
    known = queue.states(job for job in [*own.values(), *others.values()] if not job.end)
    return [
        _with_job(task, own.get(task.fingerprint), others.get(task.fingerprint), known)
        for task in tasks
    ]


def _submitted(
    identity: str, archive: Archive
) -> tuple[dict[str, Submitted], dict[str, Submitted]]:
    """The newest job of each fingerprint: of sweeps of this identity, and of other sweeps."""
    own: dict[str, Submitted] = {}
    others: dict[str, Submitted] = {}
    for sweep in archive.runs("sweep"):
        folder = home(sweep, RECORDED) if sweep.status != "FINISHED" else None
        found = own if sweep.tags.get(parent_run.IDENTITY) == identity else others
        if folder:
            found.update((job.fingerprint, job) for job in record.read(folder))
    return own, others


def _with_job(
    task: Task, own: Submitted | None, other: Submitted | None, known: Mapping[str, JobState]
) -> Task:
    for job in filter(None, (own, other)):
        state = JobState(job.end) if job.end else known.get(job.job)
        if state and _counts(task, state, is_own=job is own, was_seen=bool(job.end)):
            queued = QueuedJob(job.job, job.folder, state.name.lower())
            return replace(task, state=State.QUEUED, job=queued)
    return task


def _counts(task: Task, state: JobState, *, is_own: bool, was_seen: bool) -> bool:
    """Whether the job of a task is to be watched, rather than another submitted.

    Args:
        is_own: this very sweep submitted it.
        was_seen: a command has seen how it ended.
    """
    if task.state == State.DONE:
        return False
    if not state.is_over:
        return True
    if state.name == CANCELLED:
        return is_own and not task.config.sweep.retry_failed
    return is_own and not was_seen and task.to_run and state.name != COMPLETED
