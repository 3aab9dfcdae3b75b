"""The numbers of a report, with n, spread and origin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.data.config import DataConfig
from fae.reports import published
from fae.reports.claims import Claim, Comparison, claims, comparisons
from fae.reports.rows import Row, commit, setting_row
from fae.reports.selection import Excluded, Selection
from fae.reports.timing import remarks
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
    excluded: list[Excluded]
    missing: int
    incomplete: bool
    origin: dict[str, list[str]]


def summarise(
    selection: Selection,
    *,
    tolerance: float,
    concurrent_runs: Sequence[StoredRun],
    pca: Callable[[DataConfig], NDArray[np.float64]],
) -> Summary:
    """Compute the numbers.

    Args:
        tolerance: of the verdict, a share.
        concurrent_runs: all that may have overlapped with the selected runs, they included.
        pca: test errors of PCA on a data set, by the number of components.
    """
    found = remarks(selection.runs, concurrent_runs)
    rows = [
        setting_row(setting, tolerance, pca(setting.runs[0].config.data), found)
        for setting in selection.settings
    ]
    return Summary(
        name=selection.name,
        tolerance=tolerance,
        mean_image=float(pca(selection.settings[0].runs[0].config.data)[0]),
        rows=rows,
        claims=claims(rows),
        comparisons=comparisons(rows),
        papers=_cited(selection),
        excluded=selection.excluded,
        missing=selection.missing,
        incomplete=selection.missing > 0 or not all(e.replaced for e in selection.excluded),
        origin=_origin(selection.runs),
    )


def _cited(selection: Selection) -> dict[str, str]:
    found = (published.find(run.config.data.name, run.config.hidden) for run in selection.runs)
    return {paper.citation: paper.note for paper, _ in found if paper}


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
        "kernels": tag("kernels"),
        "Python": tag("python"),
        "PyTorch": tag("torch"),
        "Lightning": tag("lightning"),
    }
