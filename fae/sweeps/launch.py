"""Launching the jobs of a sweep by any launcher of Hydra's, which may break down."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import OmegaConf, open_dict

from fae.errors import ConfigError, Interrupted, StoreError, UndeliveredError, first_line
from fae.runs.job import GROUP_FILE, JobGroup
from fae.runs.task import Task, look_up, stored_runs
from fae.runtime.console import BAD, say, warn
from fae.runtime.signals import defer_signals
from fae.sweeps.frozen_loader import FrozenLoader
from fae.sweeps.job_end import JobEndError, settle
from fae.sweeps.queue_launcher import QueueLauncher
from fae.sweeps.workers import share_machine
from fae.tracking.archive import Archive
from fae.tracking.liveness import JOB
from fae.tracking.recovery import close_crashed
from fae.tracking.stored_run import StoredRun

BY_NUMBER = "${hydra.job.num}"
"""Hydra's default name of a job's folder."""
ENDING_S = 2.0
"""How long the processes of a launcher may take to end after a signal."""
SLACK_S = 0.5
"""How much longer the store may take; if it hangs, the next command closes the runs."""
SETTLING_S = 10.0
"""How long the processes of a launcher that broke down may take to end."""


class Launch:
    """The launch of a sweep's tasks, in order.

    A launcher that breaks down, as when the kernel kills one of its processes, takes innocent
    jobs with it. Those that had begun are launched again, one by one: a job that brings the
    launcher down alone is to blame.

    Attributes:
        failures: why tasks failed, by their numbers.
        lacking: what the store lacks of tasks that finished, by their numbers.
        left: how many jobs were left in the launcher's queue.

    Args:
        launcher: Hydra's.
        tasks: to be run.

    Raises:
        ConfigError: two tasks would share a folder.
    """

    def __init__(self, launcher: Launcher, tasks: Sequence[Task]) -> None:
        context = launcher.hydra_context  # type: ignore[attr-defined]
        self.frozen = FrozenLoader(tasks)
        launcher.hydra_context = HydraContext(  # type: ignore[attr-defined]
            cast("ConfigLoader", self.frozen), context.callbacks
        )
        self.launcher = launcher
        self.queue = launcher if isinstance(launcher, QueueLauncher) else None
        self.tasks = tasks
        self.failures: dict[int, str] = {}
        self.lacking: dict[int, str] = {}
        self.left = 0
        self._check_folders()

    def run(
        self,
        at_once: int,
        parent: str,
        folder: Path,
        archive: Archive,
        *,
        kind: str = "sweep",
        stop_at_failure: bool,
        colours: Sequence[str] = (),
        tag: Callable[[Mapping[str, str]], object] = lambda _: None,
    ) -> None:
        """Launch all tasks, or until one fails.

        Args:
            at_once: tasks that the launcher gets at a time.
            parent: id of the sweep's run.
            folder: the sweep's.
            archive: where the tasks' runs are.
            kind: what the tasks are together, such as a sweep.
            colours: of the tasks in the UI.
            tag: is given tags of the sweep's run.

        Raises:
            Interrupted: by a signal; no run is left RUNNING, except in a launcher's queue.
            Exception: the launcher's, if it did not begin any job.
        """
        if self.queue:
            self.queue.tag = tag
        share_machine(self.launcher, [task.config for task in self.tasks], folder)
        self.folder, self.archive = folder, archive
        stored = stored_runs(archive, self.tasks).values()
        self.earlier = {run.id for runs in stored for run in runs}
        self.group, self.first = self._job_group(parent, folder, kind, colours)
        self.group.write(folder)
        self._launch_batches(at_once, stop_at_failure=stop_at_failure)

    def _launch_batches(self, at_once: int, *, stop_at_failure: bool) -> None:
        """Launch the tasks in order, so many at a time, and again what a breakdown took along."""
        numbers = range(len(self.tasks))
        waiting = [[*numbers[start : start + at_once]] for start in numbers[::at_once]]
        while waiting and not (stop_at_failure and self.failures):
            batch = waiting.pop(0)
            try:
                self._launch(batch)
            except Interrupted:
                if not self.queue:
                    self._close_in_time()
                raise
            except Exception as error:
                if self.queue:
                    raise
                waiting = self._after_breakdown(batch, error) + waiting

    def _job_group(
        self, parent: str, folder: Path, kind: str, colours: Sequence[str]
    ) -> tuple[JobGroup, int]:
        """The jobs of a sweep's folder, and the number of the first that is launched now.

        Jobs that wait in a queue have no folder yet, and read their names by their numbers.
        """
        first = _unused(folder)
        group = JobGroup(
            parent,
            time.time(),
            [task.work for task in self.tasks],
            [task.name for task in self.tasks],
            first=first,
            in_turn=isinstance(self.launcher, BasicLauncher),
            kind=kind,
            colours=[*colours],
        )
        if self.queue and (folder / GROUP_FILE).exists():
            earlier = JobGroup.read(folder)
            return group.after(earlier), earlier.first + len(earlier.work)
        return group, first

    def _launch(self, batch: Sequence[int]) -> None:
        """Launch the jobs of a batch, and note how they ended."""
        overrides = [tuple(self.tasks[number].overrides) for number in batch]
        returns = self.launcher.launch(overrides, initial_job_idx=self.first + batch[0])
        for number, done in zip(batch, returns, strict=True):
            if isinstance(done._return_value, UndeliveredError):
                self.lacking[number] = str(done._return_value)
            elif done.status == JobStatus.UNKNOWN:
                self.left += 1
            elif isinstance(done._return_value, JobEndError):
                self._settle(number, done._return_value)
            elif done.status != JobStatus.COMPLETED:
                self.failures[number] = str(done._return_value)

    def _settle(self, number: int, end: JobEndError) -> None:
        """Have the run of a job that did not end well say so, and note why it failed."""
        run = self._run_of(number, end.job)
        task, own = self.tasks[number], self.folder / f"failed-{end.job or self.first + number}"
        (now,) = look_up([task], self.archive, task.config.sweep, self.group)
        cause = settle(now, run, end, self.archive, self.group.parent, own)
        if cause:
            self.failures[number] = cause

    def _after_breakdown(self, batch: Sequence[int], error: Exception) -> list[list[int]]:
        """What of a batch is to be launched again: what had begun one by one, then the rest."""
        reason = first_line(error)
        begun: list[int] = []
        rest: list[int] = []
        for number in batch:
            run = self._run_of(number)
            if run is None:
                rest.append(number)
            elif run.status == "KILLED" and len(batch) > 1:
                begun.append(number)
            elif run.status != "FINISHED":
                self.failures[number] = self._cause(number, run, reason)
        if len(rest) == len(batch):
            raise error
        if begun or rest:
            warn(f"the launcher broke down ({reason}); {len(begun + rest)} runs are launched again")
        return [*([number] for number in begun), *_consecutive(rest)]

    def _cause(self, number: int, run: StoredRun, reason: str) -> str:
        """Why the run of a task failed; one that brought the launcher down is closed as FAILED.

        Args:
            reason: why the launcher broke down.
        """
        if run.status == "FAILED":
            return run.tags.get("fae.error", "")
        if run.status == "RUNNING":
            return f"its process still runs, without its launcher ({reason})"
        cause = f"its process died ({reason})"
        self.archive.close(run, "FAILED", run.ended or run.started, cause)
        say(f"{self.tasks[number].name}  failed: {cause}", style=BAD)
        return cause

    def _check_folders(self) -> None:
        """Check that no two tasks share a folder, as far as their configuration says."""
        config = self.launcher.config  # type: ignore[attr-defined]
        written = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        assert isinstance(written, dict)
        subdir = written["subdir"]
        if subdir == BY_NUMBER:
            return
        taken: dict[str, str] = {}
        for number, task in enumerate(self.tasks):
            node = self.frozen.load_sweep_config(config, task.overrides)
            with open_dict(node):
                node.hydra.job.num, node.hydra.job.id = number, f"{number}"
            folder = str(Path(node.hydra.sweep.subdir))
            if folder in taken:
                raise ConfigError(
                    f"hydra.sweep.subdir={subdir}: is {folder} for {taken[folder]} and for "
                    f"{task.name}; a name with {BY_NUMBER} in it differs from run to run"
                )
            taken[folder] = task.name

    def _close_in_time(self) -> None:
        """Close the runs of processes that are ending with this one, unless the store hangs."""
        closing = threading.Thread(target=self._close_all, daemon=True)
        with defer_signals():
            closing.start()
            closing.join(ENDING_S + SLACK_S)

    def _close_all(self) -> None:
        deadline = time.monotonic() + ENDING_S
        with suppress(StoreError):  # it is away: the next command closes the runs
            while time.monotonic() < deadline:
                closed, running = close_crashed(self.archive), self.archive.unfinished()
                if not closed and all(run.parent != self.group.parent for run in running):
                    return
                time.sleep(0.1)

    def _run_of(self, number: int, job: str = "") -> StoredRun | None:
        """The run that a task has begun or resumed in this sweep, once its process has ended.

        Args:
            job: of a queue, in which its process was.
        """
        task = self.tasks[number]
        deadline = time.monotonic() + SETTLING_S
        while True:
            close_crashed(self.archive)
            stored = stored_runs(self.archive, [task]).get(task.fingerprint, [])
            new = [run for run in stored if run.id not in self.earlier or run.id == task.resumes]
            ours = [run for run in stored if run.tags.get(JOB) == job] if job else new
            if not ours:
                return None
            if ours[-1].status != "RUNNING" or time.monotonic() > deadline:
                return ours[-1]
            time.sleep(0.5)


def _unused(folder: Path) -> int:
    """The first number after those of the jobs' folders that a sweep's folder has already."""
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    return 1 + max(numbers, default=-1)


def _consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers in groups without gaps, as launchers count on from the first."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
