"""Reproductions: stored runs that are trained again by the code that is installed, and compared.

A reproduction is a run of its own kind, which no plan, report or search takes for a run. It is
always computed from its beginning to its end by one process: one that was interrupted is begun
anew, as it might otherwise be the work of two.
"""

import time
import uuid
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from fae.config import Config, TrainingConfig
from fae.errors import ConfigError, DataError
from fae.models import kernels
from fae.runs.circumstances import Circumstances, differences, of_stored, of_this_process
from fae.runs.comparison import TEST, Computed, Deviation, deviations, verdict
from fae.runs.initial_weights import with_full_id
from fae.runs.job import Job
from fae.runs.run import finish, fit, open_run, prepare
from fae.runs.stored import TrainedRun
from fae.runs.task import Known

KIND = "reproduction"
ORIGINAL, RESULT, DETAILS = "fae.reproduces", "fae.reproduction", "fae.reproduction.differences"
"""Tags of a reproduction: id of the stored run, ``identical`` or ``differs``, and how."""
LONGEST = 5000
"""Characters of a tag."""


@dataclass(frozen=True)
class Original:
    """A stored run that can be trained again.

    Attributes:
        config: with which that is done.
        circumstances: in which it was computed.
    """

    run: TrainedRun
    config: Config
    circumstances: Circumstances

    @property
    def title(self) -> str:
        return _title(self.run)


@dataclass(frozen=True)
class Reproduction:
    """A run that was trained again.

    Attributes:
        run_id: of the reproduction in the store.
        deviations: from what the stored run had computed; none if they are identical.
        differences: of the circumstances, one phrase each.
        lacking: what the store lacks of the reproduction; empty if nothing.
    """

    original: Original
    run_id: str
    deviations: list[Deviation]
    differences: list[str]
    lacking: str

    @property
    def verdict(self) -> str:
        """As ``fae.runs.comparison.verdict`` has it."""
        return verdict(self.deviations)

    def __str__(self) -> str:
        return f"{self.verdict} (reproduction: run {self.run_id[:8]})"


def original(run: TrainedRun, others: Config, data_root: Path | None) -> Original:
    """What it takes to train a stored run again, all of it checked.

    Args:
        others: a configuration with the settings that have no effect on the result.
        data_root: where the images are; None: where they are found.

    Raises:
        ConfigError: the run did not finish, or needs what this machine does not have.
        DataError: its images are not here, or others are.
        UnreadableError: something that it stored is gone or damaged.
    """
    if run.status != "FINISHED":
        raise ConfigError(f"{_title(run)}: is {run.status}; only a finished run can be reproduced")
    run.check()
    run.release()
    data = run.config.data.with_root(data_root)
    here, there = data.build().digest, run.tags.get("fae.data_digest")
    if here != there:
        raise DataError(
            f"{_title(run)}: its images (digest {there!r:.50}) differ from those here ({here})"
        )
    stored = {field.name: getattr(run.config, field.name) for field in fields(TrainingConfig)}
    by = kernels.described(run.tags.get("fae.kernels", ""))
    decided: dict[str, Any] = {"data": data, "trainer": replace(run.config.trainer, kernels=by)}
    tracking = replace(others.tracking, checkpoint_s=None)  # it is not resumed
    config = with_full_id(replace(others, **stored | decided, repeats=1, tracking=tracking))
    prepare(config)
    return Original(run, config, of_stored(run))


def reproduce(again: Original, job: Job) -> Reproduction:
    """Train a stored run again, as a run of its own, and compare the two.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: training diverged, unlike that of the stored run.
    """
    config, started = again.config, time.perf_counter()
    then = Computed.by(again.run)
    again.run.release()
    opened = open_run(config, job, Known, kind=KIND, subject=f"{KIND} {uuid.uuid4()}")
    with opened as (run, _):
        assert run  # of a subject of its own
        run.set_tags({ORIGINAL: again.run.id})
        fitted = fit(run, config, job, resumed=False, started=started)
        test = finish(run, fitted, config)[TEST]
        now = Computed(fitted.history.epochs, test, fitted.learner.network.state_dict())
        found = deviations(then, now)
        others = differences(again.circumstances, of_this_process(again.run, config))
        details = "\n".join([verdict(found), *others])
        result = "differs" if found else "identical"
        run.set_tags({RESULT: result, DETAILS: details[:LONGEST]})
    return Reproduction(again, run.id, found, others, run.lacking)


def _title(run: TrainedRun) -> str:
    return f"run {run.id[:8]} ({run.name})"
