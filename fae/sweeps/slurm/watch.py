"""Watching the jobs of a sweep until all have ended."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from fae.runtime.console import console, say, warn
from fae.runtime.formatting import format_duration
from fae.sweeps.slurm import queue
from fae.sweeps.slurm.queue import CUT_SHORT, GONE, JobState, QueueError
from fae.sweeps.slurm.record import Submitted

EPOCH = re.compile(r"epoch (\d{1,9})/(\d{1,9})\b[^\n]*")
"""The end of a line of ``fae.runs.progress`` in a job's log."""
TAIL = 4000
"""Bytes at the end of a log that are read."""
PENDING = JobState("PENDING")


class Watch:
    """Asks Slurm for jobs until all have ended, and shows one line about all of them.

    A job that was cut short, and that neither it nor Slurm has requeued, is requeued.

    Args:
        jobs: what to watch.
        names: of the jobs, as the line has them.
        poll_s: seconds between two questions.
        requeues: how often a job may have been started again.
    """

    def __init__(
        self, jobs: Sequence[Submitted], names: Sequence[str], *, poll_s: float, requeues: int
    ) -> None:
        self.jobs = {job.job: job for job in jobs}
        self.names = dict(zip(self.jobs, names, strict=True))
        self.poll_s = poll_s
        self.requeues = requeues
        self.ends: dict[str, JobState] = {job.job: JobState(job.end) for job in jobs if job.end}
        self.now: dict[str, JobState] = {}
        self._doubts: Counter[str] = Counter()
        self._is_silent = False

    def until_end(self) -> dict[str, JobState]:
        """The states in which the jobs ended, by their ids."""
        with Line(self) as line:
            while True:
                self._look()
                line.show()
                if len(self.ends) == len(self.jobs):
                    return self.ends
                time.sleep(self.poll_s)

    def remaining(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [job for job in self.jobs if job not in self.ends]

    def _look(self) -> None:
        try:
            self.now = queue.states(self.jobs[job] for job in self.remaining())
        except QueueError as problem:
            if not self._is_silent:
                warn(f"Slurm does not answer ({problem}); asking again")
            self._is_silent = True
            return
        self._is_silent = False
        for job in self.remaining():
            state = self.now.get(job, GONE)
            if state.is_over and not self._may_begin_again(job, state):
                self.ends[job] = state

    def _may_begin_again(self, job: str, state: JobState) -> bool:
        """Requeue a job that was cut short; whether it is worth a second look.

        Slurm may be about to requeue it by itself, or not know it yet.
        """
        if state.name in CUT_SHORT and state.requeues < self.requeues:
            try:
                queue.requeue(job)
            except QueueError:
                pass
            else:
                return True
        elif state != GONE:
            return False
        self._doubts[job] += 1
        return self._doubts[job] == 1


class Line:
    """The line about all jobs: kept up to date on a terminal, printed when it changes elsewhere.

    Args:
        watch: what it shows.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._started = time.monotonic()
        self._first: float | None = None
        self._counts = ""
        self._status = console().status("") if console().is_terminal else None

    def __enter__(self) -> "Line":
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status:
            self._status.stop()

    def show(self) -> None:
        """Show how many jobs are queued, running and done, the slowest, and the time left."""
        watch = self.watch
        waiting = [job for job in watch.remaining() if watch.now.get(job, PENDING).is_queued]
        running = [job for job in watch.remaining() if job not in waiting]
        counts = f"{len(waiting)} queued, {len(running)} running, {len(watch.ends)} ended"
        shares = {job: progress(watch.jobs[job].log()) for job in watch.remaining()}
        slowest = min(running, key=lambda job: shares[job][0], default=None)
        of_one = f"{watch.names[slowest]}  {shares[slowest][1]}".strip() if slowest else ""
        line = "; ".join(filter(None, [counts, of_one, self._left(shares)]))
        if self._status:
            from rich.text import Text

            self._status.update(Text(line))
        elif counts != self._counts:
            say(line)
        self._counts = counts

    def _left(self, shares: Mapping[str, tuple[float, str]]) -> str:
        """The time that all jobs need yet, if they go on as since this was first asked."""
        watch = self.watch
        done = (len(watch.ends) + sum(share for share, _ in shares.values())) / len(watch.jobs)
        if self._first is None:
            self._first = done
        if not self._first < done < 1:
            return ""
        elapsed = time.monotonic() - self._started
        left = elapsed * (1 - done) / (done - self._first)
        return f"about {format_duration(left)} left for all"


def progress(log: Path) -> tuple[float, str]:
    """The share of its epochs that a job has done, and the line in which its log says so."""
    found = [*EPOCH.finditer(tail(log))]
    if not found or found[-1][2] == "0":
        return 0.0, ""
    return min(1.0, int(found[-1][1]) / int(found[-1][2])), found[-1][0]


def tail(log: Path) -> str:
    """The end of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read(TAIL).decode(errors="replace")
    except OSError:
        return ""
