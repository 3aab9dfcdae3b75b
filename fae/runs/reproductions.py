"""A run, or all runs of a sweep, reproduced in turn, and what came of it on the terminal."""

import gc
import time
from collections.abc import Sequence
from pathlib import Path

from fae.cli.overrides import command_line
from fae.config import Config
from fae.drawing.tables import Columns, TerminalTables
from fae.errors import ConfigError, ReproductionError, StoreError, TrainingError, UndeliveredError
from fae.runs.comparison import QUANTITIES
from fae.runs.job import Job, JobGroup, new_folder
from fae.runs.reproduction import Original, Reproduction, original, reproduce
from fae.runs.stored import TrainedRun
from fae.runs.task import work
from fae.runtime.console import BAD, OK, say, warn, wide
from fae.tracking.archive import Archive

SAME = "same"
"""Cell of a quantity that has the same bits."""


def reproduce_all(
    runs: Sequence[TrainedRun], others: Config, data_root: Path | None, overrides: Sequence[str]
) -> None:
    """Reproduce runs, all checked before the first begins.

    Args:
        others, data_root: as for ``original``.
        overrides: of the command, which the reproductions are tagged with.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        ReproductionError: some run is not reproduced bit for bit.
        UndeliveredError: the store lacks something in the end, or went away in between.
    """
    originals = [original(run, others, data_root) for run in runs]
    lengths = [work(again.config, again.config.epochs) for again in originals]
    group = JobGroup("", time.time(), lengths) if len(originals) > 1 else None
    made: list[Reproduction] = []
    try:
        for number, again in enumerate(originals):
            command = command_line([again.run.id, *overrides], module="fae.reproduce")
            job = Job(f"reproduction of {again.run.name}", new_folder(), command, group, number)
            gc.collect()  # the Trainer of the run before is a cycle, which holds its images
            _reproduce(again, job, made)
    except StoreError as problem:
        if not made:
            raise
        _show(made)
        raise UndeliveredError("\n".join([str(problem), *_lacking(made)])) from problem
    _show(made)
    _raise(originals, made)


def _reproduce(again: Original, job: Job, made: list[Reproduction]) -> None:
    """Reproduce a run, say what came of it, and add it to those that were made."""
    try:
        made.append(reproduce(again, job))
    except TrainingError as problem:
        say(f"{again.title}: {problem}", style=BAD)
    else:
        is_same = not made[-1].deviations
        say(f"{again.title}: {made[-1]}", style=OK if is_same else BAD)


def _lacking(made: Sequence[Reproduction]) -> list[str]:
    """What the store lacks of each."""
    return [reproduction.lacking for reproduction in made if reproduction.lacking]


def runs_of_sweep(name: str, archive: Archive) -> list[TrainedRun]:
    """The finished runs of the sweep whose id begins so; none if there is no such sweep.

    Raises:
        ConfigError: there are several, or no run of it has finished.
    """
    sweeps = [sweep for sweep in archive.runs("sweep") if sweep.id.startswith(name)]
    if len(sweeps) > 1:
        raise ConfigError(f"RUN={name}: {len(sweeps)} sweeps have ids that begin so")
    if sweeps and any(run.id.startswith(name) for run in archive.runs("run")):
        raise ConfigError(f"RUN={name}: a sweep and a run have ids that begin so; give more of it")
    runs = [run for sweep in sweeps for run in archive.runs_of(sweep)]
    for run in runs:
        if run.status != "FINISHED":
            warn(f"run {run.id[:8]} ({run.name}): is {run.status}, and is left out")
    finished = [TrainedRun.of(run, archive) for run in runs if run.status == "FINISHED"]
    if sweeps and not finished:
        raise ConfigError(f"RUN={name}: no run of this sweep has finished")
    return finished


def _show(made: Sequence[Reproduction]) -> None:
    """How far the runs are from what they were, and what else is different."""
    is_different = any(reproduction.deviations for reproduction in made)
    if is_different or len(made) > 1:
        wide().print(TerminalTables([table(made)]))
    if is_different:
        say("Largest differences, and in brackets as shares of what was there before.")
    differences = dict.fromkeys(phrase for found in made for phrase in found.differences)
    if differences:
        say("\n  ".join(["different between then and now:", *differences]))
    elif made:
        say("what runs record of code, libraries and machine is the same as then")


def table(made: Sequence[Reproduction]) -> Columns:
    """One row per run: what came of it, and by how much each quantity differs."""
    cells = [{found.quantity: str(found) for found in again.deviations} for again in made]
    return {
        "run": [again.original.run.id[:8] for again in made],
        "name": [again.original.run.name for again in made],
        "result": [again.verdict for again in made],
        **{what: [row.get(what, SAME) for row in cells] for what in QUANTITIES},
    }


def _raise(originals: Sequence[Original], made: Sequence[Reproduction]) -> None:
    same = [reproduction for reproduction in made if not reproduction.deviations]
    if len(same) < len(originals):
        what = originals[0].title if len(originals) == 1 else f"{len(originals)} runs"
        which = "" if len(originals) == 1 else f"{len(originals) - len(same)} of "
        raise ReproductionError(f"{which}{what}: not reproduced bit for bit")
    if lacking := _lacking(made):
        raise UndeliveredError("\n".join(lacking))
