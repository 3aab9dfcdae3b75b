"""What Slurm knows of jobs: by ``squeue``, and by ``sacct`` of those that ended long ago."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fae.errors import FaeError
from fae.sweeps.slurm.record import Submitted

FIELDS = "JobArrayID:.40,State:.20,exit_code:.12,RestartCnt:.8,MinMemory:.16"
ANSWER_S = 60
"""How long Slurm's commands may take."""
BEFORE = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"}
"""States of a job that has not begun."""
DURING = {"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
"""States of a job that has begun and has not ended."""
COMPLETED, CANCELLED, OUT_OF_MEMORY = "COMPLETED", "CANCELLED", "OUT_OF_MEMORY"
CUT_SHORT = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "TIMEOUT"}
"""How jobs end that nobody wanted to end: they are to resume."""
FORGOTTEN = "Invalid job id specified"


class QueueError(FaeError):
    """Slurm does not answer, or refuses."""


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job.

    Attributes:
        name: of the state, as ``squeue`` has it, such as PENDING or OUT_OF_MEMORY.
        exit_code: of one that has ended; negative: minus the signal that ended it.
        requeues: how often it was started again.
        memory: its limit, as Slurm writes it, such as 4G; empty if unknown.
    """

    name: str
    exit_code: int = 0
    requeues: int = 0
    memory: str = ""

    @property
    def is_queued(self) -> bool:
        """Whether it waits to begin."""
        return self.name in BEFORE

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and will not begin again by itself."""
        return self.name not in BEFORE | DURING


GONE = JobState("GONE")
"""Of a job that Slurm has forgotten."""


def states(jobs: Iterable[Submitted]) -> dict[str, JobState]:
    """The states of jobs by their ids; without those that Slurm has forgotten.

    Raises:
        QueueError: Slurm does not answer.
    """
    wanted = {job.job: job for job in jobs}
    if not wanted:
        return {}
    listed = _squeue(_arrays(wanted))
    if lacking := wanted.keys() - listed.keys():
        listed = _sacct(_arrays(lacking)) | listed
    known = {*map(_array, listed)}
    for job in wanted.keys() - listed.keys():
        # Of an array that it knows, squeue drops what is cancelled before it begins.
        if _array(job) in known and not wanted[job].log().exists():
            listed[job] = JobState(CANCELLED)
    return {job: state for job, state in listed.items() if job in wanted}


def _array(job: str) -> str:
    """Id of the array that a job is of, or of a job by itself."""
    return job.partition("_")[0]


def _arrays(jobs: Iterable[str]) -> list[str]:
    return sorted({_array(job) for job in jobs}, key=int)


def requeue(job: str) -> None:
    """Have a job that was cut short begin again.

    Raises:
        QueueError: Slurm refuses.
    """
    _ask("scontrol", "requeue", job)


def _squeue(arrays: Sequence[str]) -> dict[str, JobState]:
    """States by ``squeue``, which knows jobs until some minutes after their end."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--Format={FIELDS}"]
    try:
        lines = _ask(*command, f"--jobs={','.join(arrays)}").splitlines()
    except QueueError as error:
        if FORGOTTEN in str(error):
            return {}
        raise
    found = {}
    for line in lines:
        job, name, status, requeues, memory = [*line.split(), "", "", "", "", ""][:5]
        code = os.waitstatus_to_exitcode(int(status)) if status.isdecimal() else 0
        count = int(requeues) if requeues.isdecimal() else 0
        found[job] = JobState(name, code, count, memory)
    return found


def _sacct(arrays: Sequence[str]) -> dict[str, JobState]:
    """States by ``sacct``; nothing on a cluster that has no accounting."""
    if shutil.which("sacct") is None:
        return {}
    command = ["sacct", "--noheader", "--parsable2", "--allocations"]
    try:
        text = _ask(*command, "--format=JobID,State,ExitCode,ReqMem", f"--jobs={','.join(arrays)}")
    except QueueError:
        return {}
    found = {}
    for line in text.splitlines():
        job, name, code, memory = [*line.split("|"), "", "", ""][:4]
        exited, _, signum = code.partition(":")
        ended = -int(signum) if signum.strip("0").isdecimal() else int(exited or 0)
        found[job] = JobState(re.split(r"[\s+]", name)[0], ended, memory=memory)
    return found


def _ask(*command: str) -> str:
    """The output of one of Slurm's commands.

    Raises:
        QueueError: it failed, or does not answer.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise QueueError(said[-1] if said else f"{command[0]}: exit code {done.returncode}")
    return done.stdout
