"""Training times that can be compared, and the reasons why others cannot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from fae.runs.stored import TrainedRun
from fae.runtime.intervals import quartiles
from fae.tracking.stored_run import StoredRun


@dataclass(frozen=True)
class Times:
    """Training times of a setting: of its runs that can be compared or, without any, of all.

    Attributes:
        low, median, high: quartiles of ``time/fit_s``, in seconds.
        n: number of runs that these are over.
        per_epoch: median of the seconds per epoch.
        remark: why the times cannot be compared with others; None where they can.
    """

    low: float
    median: float
    high: float
    n: int
    per_epoch: float
    remark: str | None


def remarks(
    runs: Sequence[TrainedRun], concurrent_runs: Sequence[StoredRun]
) -> dict[str, str | None]:
    """Why the time of each run cannot be compared with the others', by its id; None where it can.

    Times can be compared of runs at full speed, without others, on the hardware of most runs.

    Args:
        runs: the runs of a report.
        concurrent_runs: all runs that may have overlapped with them, they themselves included;
            one without an end still runs.
    """
    overlapping = _overlapping(concurrent_runs)
    ((usual, _),) = Counter(map(_hardware, runs)).most_common(1)

    def remark(run: TrainedRun) -> str | None:
        if run.id in overlapping:
            return "overlapped with other runs"
        if _hardware(run) != usual:
            return "other hardware"
        trainer = run.config.trainer
        slow = [name for name in ("detect_anomaly", "profiler") if getattr(trainer, name)]
        return f"slowed by trainer.{slow[0]}" if slow else None

    return {run.id: remark(run) for run in runs}


def times(runs: Sequence[TrainedRun], remarks: Mapping[str, str | None]) -> Times:
    """The times of one setting.

    Args:
        remarks: of ``remarks``.
    """
    comparable = [run for run in runs if remarks[run.id] is None]
    counted = comparable or runs
    low, median, high = quartiles([run.fit_s for run in counted])
    return Times(
        low,
        median,
        high,
        n=len(counted),
        per_epoch=quartiles([run.fit_s / len(run.epochs) for run in counted])[1],
        remark=None if comparable else remarks[runs[0].id],
    )


def _hardware(run: StoredRun) -> tuple[str, str]:
    return run.tags.get("fae.device", ""), run.tags.get("fae.threads", "")


def _overlapping(runs: Sequence[StoredRun]) -> set[str]:
    """Ids of the runs that overlapped with another one on the same host."""
    overlapping: set[str] = set()
    latest: dict[str, StoredRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        host = run.tags.get("fae.host", "")
        before = latest.get(host)
        if before and run.started < _end(before):
            overlapping |= {before.id, run.id}
        if before is None or _end(run) > _end(before):
            latest[host] = run
    return overlapping


def _end(run: StoredRun) -> float:
    return inf if run.ended is None else run.ended
