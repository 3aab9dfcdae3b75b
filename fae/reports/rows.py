"""The rows of a report: one setting over its seeds, beside the paper and PCA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.reports.published import RESULTS
from fae.reports.selection import Record
from fae.reports.timing import Timekeeper, Times
from fae.runs.diagnosis import Diagnosis, diagnose
from fae.runtime.intervals import Estimate, Verdict, estimate, verdict


@dataclass(frozen=True)
class RunRow:
    """One run of a setting, and what its curves say."""

    id: str
    seed: int
    commit: str
    test: float
    fit_s: float
    diagnosis: Diagnosis
    words: str


@dataclass(frozen=True)
class Row:
    """One setting, over its seeds.

    Attributes:
        title: what sets it apart, ``n = 64``.
        others: the part of the title that is not the number of hidden units.
        test: mean squared error over the test images; mean over seeds.
        train, val: the same of the tested epoch, mean over seeds.
        published, published_s: the paper's error and time.
        difference: of ``test`` from the paper's, as a share of the latter.
        parameters: weights and biases of the network.
        pca: test error of as many principal components.
        below_pca: how far ``test`` lies below that, as a share of it; None where it is 0.
        curves: what the curves say, for how many of the runs.
    """

    title: str
    hidden: int
    others: str
    test: Estimate
    train: float
    val: float
    published: float | None
    published_s: float | None
    difference: float | None
    verdict: Verdict | None
    parameters: int
    pca: float
    below_pca: float | None
    times: Times
    curves: str
    runs: list[RunRow]

    @property
    def errors(self) -> dict[int, float]:
        """Test error by seed."""
        return {run.seed: run.test for run in self.runs}


def setting_row(
    title: str,
    records: Sequence[Record],
    *,
    tolerance: float,
    pca: NDArray[np.float64],
    parameters: int,
    timekeeper: Timekeeper,
) -> Row:
    """The row of a setting.

    Args:
        tolerance: of the verdict, a share.
        pca: test errors of PCA on the setting's data, by the number of components.
        parameters: of its network.
    """
    first = records[0]
    hidden = first.config.hidden
    test = estimate([record.run.metrics["test/mse"] for record in records])
    published = RESULTS.get(hidden) if first.config.data.name == "fashion_mnist" else None
    linear = float(pca[min(hidden, len(pca) - 1)])
    runs = [_run_row(record) for record in records]
    return Row(
        title=title,
        hidden=hidden,
        others=title.removeprefix(f"n = {hidden}").strip(),
        test=test,
        train=float(np.mean([record.tested["train/mse"] for record in records])),
        val=float(np.mean([record.tested["val/mse"] for record in records])),
        published=published.test_mse if published else None,
        published_s=published.seconds if published else None,
        difference=test.mean / published.test_mse - 1 if published else None,
        verdict=verdict(test, published.test_mse, tolerance) if published else None,
        parameters=parameters,
        pca=linear,
        below_pca=1 - test.mean / linear if linear else None,
        times=timekeeper.times(records),
        curves=_said(runs),
        runs=runs,
    )


def _run_row(record: Record) -> RunRow:
    dead = record.run.metrics.get("hidden/dead")
    found = diagnose(record.epochs, None if dead is None else int(dead))
    return RunRow(
        id=record.run.id,
        seed=record.seed,
        commit=commit(record.run.tags),
        test=record.run.metrics["test/mse"],
        fit_s=record.run.metrics["time/fit_s"],
        diagnosis=found,
        words="; ".join(found.words()),
    )


def _said(runs: Sequence[RunRow]) -> str:
    """What the curves of a setting's runs say, each thing once."""
    found = [run.diagnosis for run in runs]
    moving = [d for d in found if d.converged is False and not d.diverged]
    slopes = {
        way: [d.slope for d in moving if d.moving == way and d.slope is not None]
        for way in ("falling", "rising")
    }
    counts = {
        "diverged": sum(d.diverged for d in found),
        **{
            f"still {way} at the last epoch (median {np.median(s or [0]):+.1%} an epoch)": len(s)
            for way, s in slopes.items()
        },
        "converged": sum(d.converged is True for d in found),
        "too short to tell whether converged": sum(d.converged is None for d in found),
        "over-fitted": sum(d.overfitted for d in found),
        "best epoch not the last": sum(d.best_epoch < d.epochs for d in found),
        "dead hidden units": sum(bool(d.dead) for d in found),
    }
    everywhere = {phrase: count for phrase, count in counts.items() if count}
    return "; ".join(
        phrase if count == len(runs) == 1 else f"{count} of {len(runs)}: {phrase}"
        for phrase, count in everywhere.items()
    )


def commit(tags: Mapping[str, str]) -> str:
    """The commit that a run was made with, and whether there were changes since."""
    changed = ", with uncommitted changes" if tags.get("fae.dirty") == "true" else ""
    return tags.get("fae.commit", "unknown") + changed
