"""Launching the jobs of a sweep by whichever of Hydra's launchers, whatever becomes of them."""

import threading
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from fae.errors import ConfigError, Interrupted, UndeliveredError
from fae.runs.job import Origin, Schedule
from fae.runtime.console import say, warn
from fae.runtime.signals import defer_signals
from fae.sweeps.plan import Task
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.folder import home
from fae.tracking.recovery import close_crashed

BY_NUMBER = "${hydra.job.num}"
"""Hydra's own name of a job's folder."""
ENDING_S = 2.0
"""How long the processes of a launcher may take to end after a signal."""
SLACK_S = 0.5
"""How much longer the store may take; one that hangs is left to the next command."""
SETTLING_S = 10.0
"""How long the processes of a launcher that broke down may take to be gone."""


class FrozenLoader:
    """Hands launchers the configurations that were planned, whatever has become of conf/.

    Args:
        jobs: the configuration of each job and its choices of Hydra's groups, by the overrides
            that make it.
    """

    def __init__(
        self, jobs: Mapping[tuple[str, ...], tuple[Mapping[str, Any], Mapping[str, str]]]
    ) -> None:
        self.jobs = jobs

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> DictConfig:
        """As Hydra's own does: a job's values, and Hydra's section of the sweep."""
        config, choices = self.jobs[tuple(sweep_overrides)]
        node = deepcopy(master_config)
        naming = node.hydra.job.config.override_dirname
        with open_dict(node):
            for key in [key for key in node if key != "hydra"]:
                del node[key]
            node.update(config)
            node.hydra.mode = RunMode.RUN
            node.hydra.overrides.task = list(sweep_overrides)
            node.hydra.runtime.choices = dict(choices)
            node.hydra.job.override_dirname = get_overrides_dirname(
                OverridesParser.create().parse_overrides(list(sweep_overrides)),
                naming.exclude_keys,
                naming.item_sep,
                naming.kv_sep,
            )
        return node


class Launch:
    """The launch of a sweep's tasks, in order.

    A task's folder is its own, whatever the configuration names folders after.

    A launcher that breaks down, as when the kernel kills one of its processes, takes jobs
    with it that did nothing wrong. Those that had begun are launched again, each by itself:
    one that brings the launcher down alone is to blame.

    Attributes:
        failures: why a task failed, by its number.
        lacking: what the store lacks of tasks that came to their end.

    Args:
        launcher: Hydra's.
        tasks: what is to be done.

    Raises:
        ConfigError: two tasks would share a folder.
    """

    def __init__(self, launcher: Launcher, tasks: Sequence[Task]) -> None:
        context = launcher.hydra_context  # type: ignore[attr-defined]
        self.frozen = FrozenLoader(
            {one.overrides: (one.config.plain(), one.choices) for one in tasks}
        )
        launcher.hydra_context = HydraContext(  # type: ignore[attr-defined]
            cast("ConfigLoader", self.frozen), context.callbacks
        )
        self.launcher = launcher
        self.tasks = tasks
        self.failures: dict[int, str] = {}
        self.lacking: list[str] = []
        self._check_folders()

    def run(
        self,
        at_once: int,
        parent: str,
        folder: Path,
        archive: Archive,
        *,
        stop_at_failure: bool,
    ) -> None:
        """Launch all tasks, so many at once, or until one fails.

        Args:
            parent: id of the sweep's run.
            folder: the sweep's.
            archive: where the tasks' runs are.

        Raises:
            Interrupted: by a signal; no run is left RUNNING.
            Exception: the launcher's, where it does not begin any job.
        """
        self.archive = archive
        known = archive.alike("run", [one.fingerprint for one in self.tasks])
        self.earlier = {run.id for runs in known.values() for run in runs}
        self.schedule = Schedule(
            parent,
            time.time(),
            [one.work for one in self.tasks],
            [one.origin for one in self.tasks],
            first=_unused(folder),
            in_turn=isinstance(self.launcher, BasicLauncher),
        )
        numbers = list(range(len(self.tasks)))
        waiting = [numbers[start : start + at_once] for start in range(0, len(numbers), at_once)]
        while waiting and not (stop_at_failure and self.failures):
            batch = waiting.pop(0)
            self.schedule.write(folder)
            overrides = [self.tasks[number].overrides for number in batch]
            try:
                first = self.schedule.first + batch[0]
                returns = self.launcher.launch(overrides, initial_job_idx=first)
            except Interrupted:
                closing = threading.Thread(target=self._close_all, daemon=True)
                with defer_signals():
                    closing.start()
                    closing.join(ENDING_S + SLACK_S)
                raise
            except Exception as error:
                waiting = self._after_breakdown(batch, error) + waiting
            else:
                for number, done in zip(batch, returns, strict=True):
                    if isinstance(done._return_value, UndeliveredError):
                        self.lacking.append(str(done._return_value))
                    elif done.status != JobStatus.COMPLETED:
                        self.failures[number] = str(done._return_value)

    def _after_breakdown(self, batch: Sequence[int], error: Exception) -> list[list[int]]:
        """What of a batch is to be launched again: what had begun one by one, then the rest."""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        begun: list[int] = []
        rest: list[int] = []
        for number in batch:
            run = self._run_of(number)
            if run is None:
                rest.append(number)
            elif run.status == "FAILED":
                self.failures[number] = run.tags.get("fae.error", "")
            elif run.status == "KILLED" and len(batch) > 1:
                begun.append(number)
                folder = home(run)
                self.schedule.origins[number] = Origin(run.id, str(folder)) if folder else None
            elif run.status == "RUNNING":
                self.failures[number] = f"its process goes on without its launcher ({reason})"
            elif run.status == "KILLED":
                self.failures[number] = cause = f"its process died ({reason})"
                self.archive.close(run, "FAILED", run.ended or run.started, cause)
                say(f"{self.tasks[number].name}  failed: {cause}")
        if len(rest) == len(batch):
            raise error
        if begun or rest:
            warn(f"the launcher broke down ({reason}); {len(begun + rest)} runs are launched again")
        return [*([number] for number in begun), *_consecutive(rest)]

    def _check_folders(self) -> None:
        """Make sure that no two tasks share a folder, as far as their configuration says."""
        config = self.launcher.config  # type: ignore[attr-defined]
        written = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        assert isinstance(written, dict)
        subdir = written["subdir"]
        if subdir == BY_NUMBER:
            return
        taken: dict[str, str] = {}
        for number, one in enumerate(self.tasks):
            node = self.frozen.load_sweep_config(config, one.overrides)
            with open_dict(node):
                node.hydra.job.num, node.hydra.job.id = number, f"{number}"
            folder = str(Path(node.hydra.sweep.subdir))
            if folder in taken:
                raise ConfigError(
                    f"hydra.sweep.subdir={subdir}: is {folder} for {taken[folder]} and for "
                    f"{one.name}; a name with {BY_NUMBER} in it differs from run to run"
                )
            taken[folder] = one.name

    def _close_all(self) -> None:
        """Close the runs of processes that are ending with this one."""
        deadline = time.monotonic() + ENDING_S
        while close_crashed(self.archive) or self._under_way():
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def _under_way(self) -> bool:
        parents = (run.tags.get("mlflow.parentRunId") for run in self.archive.unfinished())
        return self.schedule.parent in parents

    def _run_of(self, number: int) -> StoredRun | None:
        """What a task has begun in this sweep, once its process is gone."""
        fingerprint = self.tasks[number].fingerprint
        origin = self.schedule.origins[number]
        deadline = time.monotonic() + SETTLING_S
        while True:
            close_crashed(self.archive)
            for run in reversed(self.archive.alike("run", [fingerprint]).get(fingerprint, [])):
                if run.id not in self.earlier or (origin and origin.run_id == run.id):
                    break
            else:
                return None
            if run.status != "RUNNING" or time.monotonic() > deadline:
                return run
            time.sleep(0.5)


def _unused(folder: Path) -> int:
    """A number from which on a sweep's folder has none of Hydra's folders of jobs."""
    return 1 + max((int(one.name) for one in folder.iterdir() if one.name.isdecimal()), default=-1)


def _consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers in ascending order, cut where one is missing, as launchers count on."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
