"""Runs that other processes compute, here or on other machines: waited for, or taken over."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from fae.errors import StoreError
from fae.runs.task import State, Task
from fae.runtime.console import say, warn
from fae.runtime.formatting import format_duration
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.liveness import Watch, is_here
from fae.tracking.recovery import close_crashed
from fae.tracking.stored_run import StoredRun

POLL_S = 5.0
"""Interval at which the store is asked."""

LookUp = Callable[[Sequence[Task]], list[Task]]
"""Tasks with what the store knows of them by now."""
Read = TypeVar("Read")


class Others:
    """Waits for runs of other processes.

    A run that gives no sign of life for ``tracking.silence_s`` is closed, unless the lock of its
    folder shows that its process is alive.
    """

    def __init__(self, archive: Archive, tracking: TrackingConfig) -> None:
        self.archive = archive
        self.watch = Watch(tracking.silence_s)
        self._away = False

    def wait(self, tasks: Sequence[Task], look_up: LookUp) -> list[Task]:
        """Wait while runs of some tasks are RUNNING elsewhere.

        Returns:
            Those that have to be run here after all, as their process was interrupted or has died;
            the others are done or failed.
        """
        told = ""
        while True:
            running = [task for task in tasks if task.state == State.RUNNING]
            dead = [task for task in tasks if task.to_run and task.run]
            if dead or not running:
                return dead
            told = self._tell(running, told)
            runs = [task.run for task in running if task.run]
            tasks = self._look(runs, partial(look_up, tasks)) or tasks

    def wait_for_end(
        self, run: StoredRun, meanwhile: Callable[[], object] = lambda: None
    ) -> StoredRun:
        """A run of another process, once it has ended or was closed.

        Args:
            meanwhile: called before each look at the store.
        """
        while _is_running(run):
            meanwhile()
            run = self._look([run], partial(self.archive.run, run.id)) or run
        return run

    def is_alive(self, run: StoredRun) -> bool:
        """Whether a run gives a sign of life; closed if it does not."""
        if is_here(run) or not _is_running(run):
            return _is_running(run)
        say(
            f"run {run.id[:8]} is RUNNING, perhaps of a process that crashed: waiting for a sign "
            f"of life, {format_duration(self.watch.silence_s)} at most"
        )
        while _is_running(run) and not self.watch.has_moved(run):
            run = self._look([run], partial(self.archive.run, run.id)) or run
        return _is_running(run)

    def _look(self, runs: Sequence[StoredRun], read: Callable[[], Read]) -> Read | None:
        """Close those runs that are dead, wait, and read again; None if the store is away."""
        try:
            for run in self.watch.look(runs):
                if not is_here(run) and self.archive.take_over(run):
                    silence = format_duration(self.watch.silence_s)
                    warn(f"{run.name} ({run.id[:8]}): no sign of life for {silence}; taken over")
            time.sleep(POLL_S)
            close_crashed(self.archive)
            found = read()
        except StoreError as problem:
            if not self._away:
                warn(f"{problem}; waiting for it")
            self.watch.restart()
            self._away = True
            return None
        self._away = False
        return found

    def _tell(self, running: Sequence[Task], told: str) -> str:
        """Say what is waited for, if that is something else than the last time."""
        names = [f"  {task.name}: {task.describe()}" for task in running]
        text = "\n".join(["waiting for runs of other processes:", *names])
        if text != told:
            say(text)
        return text


def _is_running(run: StoredRun) -> bool:
    """Whether a run is RUNNING, and not withdrawn by the process that begins it instead."""
    return run.status == "RUNNING" and not run.is_withdrawn
