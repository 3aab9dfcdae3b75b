"""The rows of a report: one setting over its seeds, beside published results and PCA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fae.reports import published
from fae.reports.decision import AgainstPublished, Contrast, Decision, decide
from fae.reports.settings import Setting
from fae.reports.timing import Times, times
from fae.runs.diagnosis import Diagnosis, diagnose
from fae.runs.stored import TrainedRun
from fae.runtime.formatting import format_share
from fae.runtime.intervals import Bound, Difference, Estimate, Verdict, estimate, student
from fae.runtime.sequential import RepeatedT


@dataclass(frozen=True)
class RunRow:
    """One run of a setting, and what its curves show."""

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
        title, hidden, others: as ``Setting`` has them.
        test: mean squared error over the test images; mean over seeds.
        train, val: the same of the tested epoch, mean over seeds.
        published, published_s: error and time of a paper, of the same images and as many units.
        difference: of ``test`` from the published error, as a share of the latter.
        verdict: None unless the setting is the paper's.
        against_first: how the test errors differ from those of the first setting; None where that
            is not to be decided.
        more_seeds: about how many more would decide it, if not yet; ``MOST_MORE + 1``: more than
            that; None where it is decided, or cannot be estimated.
        parameters: weights and biases of the network.
        pca: test error of as many principal components.
        below_pca: how far ``test`` lies below that, as a share of it; None where it is 0.
        curves: what the curves show, and for how many of the runs.
    """

    title: str
    hidden: int
    others: Mapping[str, Any]
    test: Estimate
    train: float
    val: float
    published: float | None
    published_s: float | None
    difference: float | None
    verdict: Verdict | None
    against_first: Difference | None
    more_seeds: int | None
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


@dataclass(frozen=True)
class Statistics:
    """How the rows of a report are decided.

    Attributes:
        tolerance: a share of the error that another is compared with.
        repeated: bounds that stay valid when seeds are added until all is decided; None: their
            number was fixed in advance.
        first: test errors by seed of the setting that others are compared with; none: none are.
        first_seed: of the seeds that were added one by one.
    """

    tolerance: float
    repeated: RepeatedT | None = None
    first: Mapping[int, float] = field(default_factory=dict)
    first_seed: int = 0

    @property
    def bound(self) -> Bound:
        return self.repeated or student

    def counted(self, errors: Mapping[int, float]) -> dict[int, float]:
        """Of the test errors by seed those that decide.

        Of seeds that were added one by one these are the ones before the first that is missing: a
        run may have failed for the same reason for which its error would have been another.
        """
        if self.repeated is None:
            return dict(errors)
        seeds = takewhile(errors.__contains__, count(self.first_seed))
        return {seed: errors[seed] for seed in seeds}


def setting_row(
    setting: Setting,
    statistics: Statistics,
    pca: NDArray[np.float64],
    remarks: Mapping[str, str | None],
) -> Row:
    """The row of a setting.

    Args:
        pca: test errors of PCA on the setting's data, by the number of components.
        remarks: why times cannot be compared, by the run's id.
    """
    first, hidden = setting.runs[0], setting.hidden
    test = estimate([*setting.errors.values()], statistics.bound)
    _, result = published.find(first.config.data.name, hidden)
    reproduced, differs = _decisions(setting, statistics)
    decision = reproduced or differs
    linear = float(pca[min(hidden, len(pca) - 1)])
    runs = [_run_row(run) for run in setting.runs]
    return Row(
        title=setting.title,
        hidden=hidden,
        others=setting.others,
        test=test,
        train=float(np.mean([run.tested["train/mse"] for run in setting.runs])),
        val=float(np.mean([run.tested["val/mse"] for run in setting.runs])),
        published=result.test_mse if result else None,
        published_s=result.seconds if result else None,
        difference=test.mean / result.test_mse - 1 if result else None,
        verdict=reproduced.answer if reproduced else None,
        against_first=differs.answer if differs else None,
        more_seeds=decision.more_seeds if decision else None,
        parameters=first.parameter_count,
        pca=linear,
        below_pca=1 - test.mean / linear if linear else None,
        times=times(setting.runs, remarks),
        curves=_summary_of_curves([run.diagnosis for run in runs]),
        runs=runs,
    )


def _decisions(
    setting: Setting, statistics: Statistics
) -> tuple[Decision[Verdict] | None, Decision[Difference] | None]:
    """Whether a setting reproduces what it is to reproduce, or how it differs from the first."""
    ours, first = statistics.counted(setting.errors), statistics.counted(statistics.first)
    tolerance = statistics.tolerance
    published_error = published.target(setting.runs[0].config)
    if published_error is not None:
        question = AgainstPublished([*ours.values()], published_error, tolerance)
        return decide(question, statistics.repeated), None
    seeds = sorted(ours.keys() & first.keys())
    if not seeds or ours == first:
        return None, None
    contrast = Contrast([ours[s] for s in seeds], [first[s] for s in seeds], tolerance)
    return None, decide(contrast, statistics.repeated)


def _run_row(run: TrainedRun) -> RunRow:
    diagnosis = diagnose(run.epochs, run.dead)
    return RunRow(
        id=run.id,
        seed=run.seed,
        commit=commit(run.tags),
        test=run.test_mse,
        fit_s=run.fit_s,
        diagnosis=diagnosis,
        words="; ".join(diagnosis.words()),
    )


def _summary_of_curves(diagnoses: Sequence[Diagnosis]) -> str:
    """What the curves of a setting's runs show, each observation once."""
    moving = [d for d in diagnoses if d.converged is False and not d.diverged]
    slopes = {
        way: [d.slope for d in moving if d.moving == way and d.slope is not None]
        for way in ("falling", "rising")
    }
    counts = {
        "diverged": sum(d.diverged for d in diagnoses),
        **{
            f"still {way} at the last epoch (median {_signed(s)} per epoch)": len(s)
            for way, s in slopes.items()
        },
        "converged": sum(d.converged is True for d in diagnoses),
        "too short to tell whether converged": sum(d.converged is None for d in diagnoses),
        "overfitted": sum(d.overfitted for d in diagnoses),
        "best epoch not the last": sum(d.best_epoch < d.epochs for d in diagnoses),
        "dead hidden units": sum(bool(d.dead) for d in diagnoses),
    }
    runs = len(diagnoses)
    return "; ".join(
        phrase if count == runs == 1 else f"{count} of {runs}: {phrase}"
        for phrase, count in counts.items()
        if count
    )


def _signed(slopes: Sequence[float]) -> str:
    """The median of some slopes in percent, with its sign."""
    return format_share(float(np.median(slopes or [0])), "+.1f")


def commit(tags: Mapping[str, str]) -> str:
    """The commit that a run was made with, and whether there were uncommitted changes."""
    changed = ", with uncommitted changes" if tags.get("fae.dirty") == "true" else ""
    return tags.get("fae.commit", "unknown") + changed
