"""The plan of a command, as the terminal shows it: which runs are done, resume, or are new."""

import re
from collections.abc import Sequence
from dataclasses import replace

from fae.runs.fingerprint import fingerprint
from fae.runs.task import State, Task
from fae.runtime.console import say
from fae.sweeps.forecast import forecast
from fae.tracking.archive import Archive

SHOWN = 24
"""Runs that a plan shows on the terminal."""


def show(
    title: str,
    tasks: Sequence[Task],
    archive: Archive | None,
    asked: int,
    later: Sequence[Task] = (),
) -> None:
    """Print what becomes of each task, and what all of it will take.

    Args:
        asked: number of runs that were asked for; duplicates are one task.
        later: tasks that may be added, by their results.
    """
    queued = [task for task in tasks if task.state == State.QUEUED]
    to_do = [task for task in tasks if task.to_run and task not in queued]
    others = f", {len(to_do)} to do" if len(to_do) < len(tasks) else ""
    others += f", {len(queued)} with Slurm" if queued else ""
    same = f", {asked - len(tasks)} asked for twice" if asked > len(tasks) else ""
    say(f"{title}: {len(tasks)} run{'s' * (len(tasks) > 1)}{same}{others}")
    shown = tasks[:SHOWN]
    width = max(len(task.name) for task in shown)
    for task in shown:
        say(f" {task.name:{width}}    {task.describe()}{_why_new(task, archive)}")
    if len(tasks) > SHOWN:
        say(f" and {len(tasks) - SHOWN} more")
    if to_do:
        say(str(forecast(to_do, archive) or "no estimate: no run like these was made here before"))
    if later:
        from fae.runtime.sequential import FIRST_LOOK

        together = forecast([*to_do, *later], archive)
        seeds = f"{FIRST_LOOK} to {later[0].config.repeats_max} seeds each"
        time = f"; with all of them {together}" if together else ""
        say(f"{seeds}: up to {len(later)} more runs follow, until all is decided{time}")


def _why_new(task: Task, archive: Archive | None) -> str:
    """Why a task is new though the store has a run that differs in ``epochs`` alone.

    Its epochs are part of what a run is (schedules end with the last), so it is not resumed.
    """
    config = task.config
    if task.state != State.NEW or task.run or archive is None or config.sweep.rerun:
        return ""
    plain = config.plain()
    near = {key: plain[key] for key in ("hidden", "seed", "lr", "batch_size")}
    for run in reversed(archive.runs("run", parameters=near)):
        stored = run.parameters.get("epochs", "")
        if not re.fullmatch(r"[1-9]\d{0,8}", stored):
            continue
        epochs = int(stored)
        alike = run.tags.get("fae.fingerprint") == fingerprint(replace(config, epochs=epochs))
        if alike and epochs != config.epochs:
            cannot = "extended" if epochs < config.epochs else "shortened"
            return f": run {run.id[:8]} with epochs={epochs} cannot be {cannot}"
    return ""
