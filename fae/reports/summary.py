"""The numbers of a report, with n, spread and origin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.data.config import DataConfig
from fae.data.incremental_pca import is_exact
from fae.reports import published
from fae.reports.claims import Claim, Comparison, claims, comparisons
from fae.reports.conclusion import conclusion
from fae.reports.description import Assumption, Facts, assumptions, origin, title, training
from fae.reports.rows import Row, Statistics, setting_row
from fae.reports.selection import Excluded, Selection
from fae.reports.timing import remarks
from fae.runtime.intervals import CONFIDENCE
from fae.runtime.sequential import repeated_t
from fae.tracking.stored_run import StoredRun

LEARNT_BY_HEART = (
    "These are runs of the overfit test (trainer.overfit): each network has learnt a few images by "
    "heart, so that its test error means nothing."
)


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        name: what was selected, as on a command line.
        title: the same for a reader.
        conclusion: in a sentence or two.
        training: what was trained, and how.
        origin: when, where and by which software.
        assumptions: what the papers leave open.
        decisions: how many share the error probability of the intervals, where seeds were added
            until all was decided; None where their number was fixed in advance.
        pca_is_exact: whether the components of PCA are; incremental ones are nearly the best.
        mean_image: test error of the mean of the training images (the first row's).
        papers: citations of the papers whose results are shown, each with a note on them.
        excluded: runs that are not counted, each with the reason.
        missing: runs that the sweeps planned and the store does not have.
        incomplete: whether a run is missing, or excluded without another in its place.
    """

    name: str
    title: str
    conclusion: str
    training: Facts
    origin: Facts
    assumptions: list[Assumption]
    tolerance: float
    decisions: int | None
    pca_is_exact: bool
    mean_image: float
    rows: list[Row]
    claims: list[Claim]
    comparisons: list[Comparison]
    papers: dict[str, str]
    excluded: list[Excluded]
    missing: int
    incomplete: bool


def summarise(
    selection: Selection,
    *,
    tolerance: float,
    concurrent_runs: Sequence[StoredRun],
    pca: Callable[[DataConfig], NDArray[np.float64]],
    test_images: Callable[[DataConfig], int],
) -> Summary:
    """Compute the numbers.

    Args:
        tolerance: of the verdict, a share.
        concurrent_runs: all that may have overlapped with the selected runs, they included.
        pca: test errors of PCA on a data set, by the number of components.
        test_images: number of those of a data set.
    """
    found, statistics = remarks(selection.runs, concurrent_runs), _statistics(selection, tolerance)
    rows = [
        setting_row(s, statistics, pca(s.runs[0].config.data), found) for s in selection.settings
    ]
    first = next((row for row in rows if row.errors == statistics.first), None)
    return Summary(
        name=selection.name,
        title=title(selection.settings),
        conclusion=_conclusion(rows, tolerance, selection),
        training=training(selection.settings, test_images),
        origin=origin(selection.runs, selection.commands),
        assumptions=assumptions(selection.runs),
        tolerance=tolerance,
        decisions=selection.decisions,
        pca_is_exact=all(is_exact(s.runs[0].config.data.pixels) for s in selection.settings),
        mean_image=float(pca(selection.settings[0].runs[0].config.data)[0]),
        rows=rows,
        claims=claims(rows),
        comparisons=comparisons(rows, statistics.bound, first),
        papers=_cited(selection),
        excluded=selection.excluded,
        missing=selection.missing,
        incomplete=selection.lacking > 0,
    )


def _conclusion(rows: Sequence[Row], tolerance: float, selection: Selection) -> str:
    if any(run.config.trainer.overfit for run in selection.runs):
        return LEARNT_BY_HEART
    interval = "95 % interval" if selection.decisions is None else "interval"
    return conclusion(rows, tolerance, selection.lacking, interval)


def _statistics(selection: Selection, tolerance: float) -> Statistics:
    if selection.rounds is None or selection.decisions is None:
        return Statistics(tolerance)
    first = (
        setting.errors
        for setting in selection.settings
        for run in setting.runs
        if run.tags.get("fae.fingerprint") == selection.rounds.first
    )
    bounds = repeated_t((1 - CONFIDENCE) / selection.decisions)
    first_seed = min(run.seed for run in selection.runs)
    return Statistics(tolerance, bounds, next(first, {}), first_seed)


def _cited(selection: Selection) -> dict[str, str]:
    found = (published.find(run.config.data.name, run.config.hidden) for run in selection.runs)
    return {paper.citation: paper.note for paper, _ in found if paper}
