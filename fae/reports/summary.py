"""The numbers of a report, with n, spread and origin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.reports import published
from fae.reports.claims import Claim, Comparison, claims, comparisons
from fae.reports.published import Paper
from fae.reports.rows import Row, commit, setting_row
from fae.reports.selection import Excluded, Selection
from fae.reports.timing import TimingFilter
from fae.runs.stored import TrainedRun
from fae.tracking.archive import StoredRun


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        mean_image: test error of the mean of the training images (the first row's).
        papers: citations of the papers whose results are shown, each with a note on them.
        excluded: runs that are not counted, each with the reason.
        missing: runs that the sweeps planned and the store does not have.
        incomplete: whether a run is missing, or excluded without another in its place.
        origin: what made the numbers, heading to values.
    """

    name: str
    tolerance: float
    mean_image: float
    rows: list[Row]
    claims: list[Claim]
    comparisons: list[Comparison]
    papers: dict[str, str]
    excluded: list[dict[str, str]]
    missing: int
    incomplete: bool
    origin: dict[str, list[str]]


def summarise(
    selection: Selection,
    *,
    tolerance: float,
    concurrent_runs: Sequence[StoredRun],
    pca: Callable[[TrainedRun], NDArray[np.float64]],
    papers: Sequence[Paper],
) -> Summary:
    """Compute the numbers.

    Args:
        tolerance: of the verdict, a share.
        concurrent_runs: all that may have overlapped with the selected runs, they included.
        pca: test errors of PCA on a run's data, by the number of components.
        papers: whose results are shown where they are of the same images and as many units.
    """
    timing = TimingFilter(selection.runs, concurrent_runs)
    rows = [
        setting_row(
            setting, tolerance=tolerance, pca=pca(setting.runs[0]), papers=papers, timing=timing
        )
        for setting in selection.settings
    ]
    return Summary(
        name=selection.name,
        tolerance=tolerance,
        mean_image=float(pca(selection.runs[0])[0]),
        rows=rows,
        claims=claims(rows),
        comparisons=comparisons(rows),
        papers=_cited(papers, selection),
        excluded=[_described(excluded) for excluded in selection.excluded],
        missing=selection.missing,
        incomplete=selection.missing > 0 or not all(e.replaced for e in selection.excluded),
        origin=_origin(selection.runs),
    )


def _cited(papers: Sequence[Paper], selection: Selection) -> dict[str, str]:
    found = (
        published.find(papers, setting.runs[0].config.data.name, setting.hidden)
        for setting in selection.settings
    )
    return {paper.citation: paper.note for paper, _ in filter(None, found)}


def _described(excluded: Excluded) -> dict[str, str]:
    run = excluded.run
    return {"id": run.id, "name": run.name, "status": run.status, "reason": excluded.reason}


def _origin(runs: Sequence[TrainedRun]) -> dict[str, list[str]]:
    def distinct(describe: Callable[[Mapping[str, str]], str]) -> list[str]:
        return list(dict.fromkeys(describe(run.tags) for run in runs))

    def tag(name: str) -> list[str]:
        return distinct(lambda tags: tags.get(f"fae.{name}", "unknown"))

    return {
        "commit": distinct(commit),
        "data digest": tag("data_digest"),
        "hardware": distinct(
            lambda tags: f"{tags.get('fae.device')}, {tags.get('fae.threads')} threads"
        ),
        "Python": tag("python"),
        "PyTorch": tag("torch"),
        "Lightning": tag("lightning"),
    }
