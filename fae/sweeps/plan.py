"""What a command is about to do: which of its runs are done, go on, or begin."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from fae.config import Config, SweepConfig
from fae.runs.checkpoint import saved_epochs
from fae.runs.fingerprint import fingerprint, former
from fae.runs.job import Origin, run_name
from fae.runtime.console import say
from fae.runtime.formatting import format_error
from fae.sweeps.forecast import estimate, work
from fae.tracking.archive import Archive, StoredRun
from fae.tracking.folder import home
from fae.tracking.recovery import close_crashed, crashed_runs

State = Literal["begins", "goes on", "done", "failed", "running"]
SHOWN = 24
"""Runs that a plan shows on the terminal."""


@dataclass(frozen=True)
class Task:
    """A run that was asked for, and what the store knows of it.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        config: the whole configuration.
        overrides: what makes it, for the command line.
        fingerprint: the same for all runs that give the same result.
        choices: of Hydra's groups, by their names.
        state: what becomes of it; only what begins or goes on is run.
        run: the run in the store that is done, failed, running, or goes on.
    """

    name: str
    config: Config
    overrides: tuple[str, ...]
    fingerprint: str
    choices: Mapping[str, str] = field(default_factory=dict)
    state: State = "begins"
    run: StoredRun | None = None

    @property
    def to_do(self) -> bool:
        return self.state in {"begins", "goes on"}

    @property
    def epochs_done(self) -> int:
        """Epochs after which it goes on; 0 for one that begins."""
        saved = saved_epochs(Path(self.origin.folder)) if self.origin else []
        return saved[0] if saved else 0

    @property
    def work(self) -> float:
        """What is left to do of it, in units of ``work``."""
        return work(self.config, self.config.epochs - self.epochs_done)

    @property
    def origin(self) -> Origin | None:
        """What it goes on with."""
        if self.state != "goes on" or self.run is None:
            return None
        folder = home(self.run)
        return Origin(self.run.id, str(folder)) if folder else None

    def outlook(self) -> str:
        """What becomes of it, for a person."""
        if self.run is None:
            return "begins"
        run = f"run {self.run.id[:8]}"
        if self.state == "done":
            error = format_error(self.run.metrics.get("test/mse", float("nan")))
            return f"done: test {error}, {run}"
        if self.state == "goes on":
            return f"goes on after epoch {self.epochs_done} of {self.config.epochs}, {run}"
        if self.state == "running":
            return f"another process is at it, {run}"
        cause = self.run.tags.get("fae.error", "no reason stored").partition("\n")[0]
        return f"failed before: {cause}; sweep.retry_failed=true runs it again"


def task(
    config: Config, overrides: Sequence[str], choices: Mapping[str, str] | None = None
) -> Task:
    """A run as if the store knew nothing of it."""
    found = fingerprint(config)
    return Task(run_name(config, overrides), config, tuple(overrides), found, choices or {})


def look_up(tasks: Sequence[Task], archive: Archive | None, settings: SweepConfig) -> list[Task]:
    """The tasks with what the store knows of them, once it knows which runs are dead.

    Where only a plan is asked for, nothing is changed, and what is dead is only taken for that.
    """
    if archive is None:
        return list(tasks)
    if not settings.plan_only:
        close_crashed(archive)
    if settings.rerun:
        return list(tasks)
    dead = {run.id for run in crashed_runs(archive)} if settings.plan_only else set()
    known = archive.alike("run", [one.fingerprint for one in tasks])
    looked_up = []
    for one in tasks:
        state, run = _state(known.get(one.fingerprint, []), settings, dead)
        looked_up.append(replace(one, state=state, run=run))
    return looked_up


def _state(
    runs: Sequence[StoredRun], settings: SweepConfig, dead: Collection[str]
) -> tuple[State, StoredRun | None]:
    """What becomes of runs of one fingerprint, oldest first, and the run that this is about."""
    for run in reversed(runs):
        if run.status == "FINISHED" and "test/mse" in run.metrics:
            return "done", run
    if not runs:
        return "begins", None
    for run in runs:
        if run.status == "RUNNING" and run.id not in dead:
            return "running", run
    latest = runs[-1]
    if latest.status == "FAILED":
        return ("begins", None) if settings.retry_failed else ("failed", latest)
    return ("goes on", latest) if home(latest) else ("begins", None)


def _anew(task: Task, archive: Archive | None) -> str:
    """What to add where a run begins though one is there that differs in ``epochs`` alone.

    Its epochs are part of what a run is (schedules end with the last), so it is not resumed.
    """
    config = task.config
    if task.state != "begins" or archive is None or config.sweep.rerun:
        return ""
    plain = config.plain()
    alike = [f"params.{key} = '{plain[key]}'" for key in ("hidden", "seed", "lr", "batch_size")]
    for run in reversed(archive.runs("run", *alike)):
        epochs = run.parameters.get("epochs", "")
        if not re.fullmatch(r"[1-9]\d{0,8}", epochs):
            continue
        of_run = replace(config, epochs=int(epochs))
        if run.tags.get("fae.fingerprint") in {fingerprint(of_run), former(of_run)}:
            if int(epochs) == config.epochs:
                return (
                    f" anew: run {run.id[:8]} was interrupted, and its folder is not where it was; "
                    "if it was moved, python -m fae.sync finds it"
                )
            cannot = "extended" if int(epochs) < config.epochs else "shortened"
            return f" anew: run {run.id[:8]} with epochs={epochs} cannot be {cannot}"
    return ""


def show(title: str, tasks: Sequence[Task], archive: Archive | None, asked: int) -> None:
    """Print what becomes of each task, and what all of it will take.

    Args:
        asked: runs that were asked for; the same one twice is one task.
    """
    to_do = [one for one in tasks if one.to_do]
    others = f", {len(to_do)} to do" if len(to_do) < len(tasks) else ""
    same = f", {asked - len(tasks)} asked for twice" if asked > len(tasks) else ""
    say(f"{title}: {len(tasks)} run{'s' * (len(tasks) > 1)}{same}{others}")
    shown = tasks[:SHOWN]
    width = max(len(one.name) for one in shown)
    for one in shown:
        say(f" {one.name:{width}}    {one.outlook()}{_anew(one, archive)}")
    if len(tasks) > SHOWN:
        say(f" and {len(tasks) - SHOWN} more")
    if to_do:
        say(str(estimate(to_do, archive) or "no estimate: no run like these was made here before"))
