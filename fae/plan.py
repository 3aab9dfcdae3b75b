"""What a command is about to do: which of its runs are done, go on, or begin."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich import get_console
from rich.table import Table
from rich.text import Text

from fae.checkpoint import saved_epochs
from fae.config import Config, SweepConfig, determines_result
from fae.job import Origin, run_name
from fae.provenance import fingerprint
from fae.sources import build_source
from fae.terminal import say
from fae.tracking import Archive, StoredRun, close_dead

State = Literal["begins", "goes on", "done", "failed", "running"]
SHOWN = 24
"""Runs that a plan shows on the terminal."""
SIMILAR = 50
"""Earlier runs that an estimate is made from, at most."""


@dataclass(frozen=True)
class Task:
    """A run that was asked for, and what the store knows of it.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        config: the whole configuration.
        overrides: what makes it, for the command line.
        fingerprint: the same for all runs that give the same result.
        state: what becomes of it; only what begins or goes on is run.
        run: the run in the store that is done, failed, running, or goes on.
    """

    name: str
    config: Config
    overrides: tuple[str, ...]
    fingerprint: str
    state: State = "begins"
    run: StoredRun | None = None

    @property
    def to_do(self) -> bool:
        return self.state in {"begins", "goes on"}

    @property
    def work(self) -> float:
        """What it takes if it begins, in units of ``work``."""
        return work(self.config.hidden, self.config.epochs)

    @property
    def origin(self) -> Origin | None:
        """What it goes on with."""
        if self.state != "goes on" or self.run is None:
            return None
        return Origin(self.run.id, self.run.tags["fae.folder"])

    def outlook(self) -> str:
        """What becomes of it, for a person."""
        if self.run is None:
            return "begins"
        run = f"run {self.run.id[:8]}"
        if self.state == "done":
            return f"done: test {self.run.metrics.get('test/mse', float('nan')):.4f}, {run}"
        if self.state == "goes on":
            saved = saved_epochs(Path(self.run.tags["fae.folder"]))
            return f"goes on after epoch {saved[0] if saved else 0} of {self.config.epochs}, {run}"
        if self.state == "running":
            return f"another process is at it, {run}"
        cause = self.run.tags.get("fae.error", "no reason stored").partition("\n")[0]
        return f"failed before: {cause}; sweep.retry_failed=true runs it again"


@dataclass(frozen=True)
class Estimate:
    """What runs will take, by earlier ones on this machine.

    Attributes:
        seconds: one after the other, start-up left out.
        bytes: of their folders and of what the store gets.
    """

    seconds: float
    bytes: float

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"about {minutes}:{seconds:02d} and {self.bytes / 1e6:.0f} MB by earlier runs here"


def task(config: Config, overrides: Sequence[str]) -> Task:
    """A run as if the store knew nothing of it."""
    digest = build_source(config.data).digest
    found = fingerprint(determines_result(config.plain()), digest)
    return Task(run_name(config, overrides), config, tuple(overrides), found)


def look_up(tasks: Sequence[Task], archive: Archive | None, settings: SweepConfig) -> list[Task]:
    """The tasks with what the store knows of them, once it knows which runs are dead."""
    if archive is None:
        return list(tasks)
    close_dead(archive)
    if settings.rerun:
        return list(tasks)
    known = archive.alike("run", [one.fingerprint for one in tasks])
    looked_up = []
    for one in tasks:
        state, run = _state(known.get(one.fingerprint, []), settings)
        looked_up.append(replace(one, state=state, run=run))
    return looked_up


def _state(runs: Sequence[StoredRun], settings: SweepConfig) -> tuple[State, StoredRun | None]:
    """What becomes of a run, by those that were the same, oldest first."""
    for run in reversed(runs):
        if run.status == "FINISHED":
            return "done", run
    if not runs:
        return "begins", None
    latest = runs[-1]
    if latest.status == "RUNNING":
        return "running", latest
    if latest.status == "FAILED":
        return ("begins", None) if settings.retry_failed else ("failed", latest)
    folder_is_there = Path(latest.tags["fae.folder"]).exists()
    return ("goes on", latest) if folder_is_there else ("begins", None)


def work(hidden: int, epochs: int) -> float:
    """The work of a run, in units of what one hidden unit takes in one epoch.

    A step costs a part that grows with the hidden layer and a part that does not, as
    much as some 30 units (from docs/speed-table.md).
    """
    return epochs * (30.0 + hidden)


def size(hidden: int) -> float:
    """The size of a run's files, in units of what one hidden unit takes.

    Weights and optimizer state grow with the hidden layer; pictures, configuration and the
    like do not, and are as much as some 20 units.
    """
    return 20.0 + hidden


def estimate(tasks: Sequence[Task], archive: Archive | None) -> Estimate | None:
    """What these tasks take; None where no run like the first was made on this machine."""
    if archive is None:
        return None
    first = tasks[0].config
    similar = archive.latest(
        SIMILAR,
        "attributes.status = 'FINISHED'",
        f"tags.`fae.host` = '{platform.node()}'",
        f"params.data = '{first.data.name}'",
        f"params.precision = '{first.trainer.precision}'",
        f"params.accelerator = '{first.trainer.accelerator}'",
    )
    measured = [r for r in similar if "time/total_s" in r.metrics and "fae.bytes" in r.tags]
    if not measured:
        return None
    rates, densities = [], []
    for run in measured:
        hidden, epochs = int(run.parameters["hidden"]), int(run.parameters["epochs"])
        rates.append(run.metrics["time/total_s"] / work(hidden, epochs))
        densities.append(int(run.tags["fae.bytes"]) / size(hidden))
    return Estimate(
        statistics.median(rates) * sum(one.work for one in tasks),
        statistics.median(densities) * sum(size(one.config.hidden) for one in tasks),
    )


def show(title: str, tasks: Sequence[Task], archive: Archive | None, asked: int) -> None:
    """Print what becomes of each task, and what all of it will take.

    Args:
        asked: runs that were asked for; the same one twice is one task.
    """
    to_do = [one for one in tasks if one.to_do]
    others = f", {len(to_do)} to do" if len(to_do) < len(tasks) else ""
    same = f", {asked - len(tasks)} asked for twice" if asked > len(tasks) else ""
    say(f"{title}: {len(tasks)} run{'s' * (len(tasks) > 1)}{same}{others}")
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 1))
    for one in tasks[:SHOWN]:
        table.add_row(Text(one.name), Text(one.outlook()))
    get_console().print(table, soft_wrap=True)
    if len(tasks) > SHOWN:
        say(f" and {len(tasks) - SHOWN} more")
    if to_do:
        say(str(estimate(to_do, archive) or "no estimate: no run like these was made here before"))
