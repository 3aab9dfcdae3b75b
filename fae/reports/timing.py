"""Training times that can be compared, and the reasons why others cannot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from fae.reports.selection import Record
from fae.runtime.intervals import quartiles
from fae.tracking.archive import StoredRun


@dataclass(frozen=True)
class Times:
    """Training times of the runs of a setting that can be compared with others.

    Where none can, of all its runs.

    Attributes:
        low, median, high: quartiles of ``time/fit_s``, in seconds.
        n: runs that these are over.
        per_epoch: median of seconds an epoch.
        remark: why the times are not to be compared; None where they are.
    """

    low: float
    median: float
    high: float
    n: int
    per_epoch: float
    remark: str | None


class Timekeeper:
    """Tells which times compare: of runs that ran alone and at full speed, on the usual hardware.

    Args:
        records: the runs of a report; what most of them ran on is the usual hardware.
        beside: what ran while they did, they themselves among it; without an end what still runs.
    """

    def __init__(self, records: Sequence[Record], beside: Sequence[StoredRun]) -> None:
        hardware = Counter(map(_hardware, records)).most_common(1)
        self._usual = hardware[0][0] if hardware else None
        self._crowded = _ran_beside_others(beside)

    def times(self, records: Sequence[Record]) -> Times:
        """The times of one setting."""
        remarks = {record.run.id: self._remark(record) for record in records}
        comparable = [record for record in records if remarks[record.run.id] is None]
        counted = comparable or records
        seconds = [record.run.metrics["time/fit_s"] for record in counted]
        per_epoch = [s / len(record.epochs) for s, record in zip(seconds, counted, strict=True)]
        remark = None if comparable else remarks[records[0].run.id]
        low, median, high = quartiles(seconds)
        return Times(low, median, high, len(counted), quartiles(per_epoch)[1], remark)

    def _remark(self, record: Record) -> str | None:
        if record.run.id in self._crowded:
            return "ran beside other runs"
        if _hardware(record) != self._usual:
            return "other hardware"
        trainer = record.config.trainer
        slow = [name for name in ("detect_anomaly", "profiler") if getattr(trainer, name)]
        return f"slowed by trainer.{slow[0]}" if slow else None


def _hardware(record: Record) -> tuple[str, str]:
    return record.run.tags.get("fae.device", ""), record.run.tags.get("fae.threads", "")


def _ran_beside_others(runs: Sequence[StoredRun]) -> set[str]:
    """Ids of the runs during which another run was going on, on the same host."""
    crowded: set[str] = set()
    latest: dict[str, StoredRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        host = run.tags.get("fae.host", "")
        before = latest.get(host)
        if before and run.started < _end(before):
            crowded |= {before.id, run.id}
        if before is None or _end(run) > _end(before):
            latest[host] = run
    return crowded


def _end(run: StoredRun) -> float:
    return inf if run.ended is None else run.ended
