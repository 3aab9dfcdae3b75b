"""The numbers of a report: what the selected runs say, with n, spread and origin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.reports.claims import Claim, Comparison, claims, comparisons
from fae.reports.rows import Row, commit, setting_row
from fae.reports.selection import Apart, Record, Selection
from fae.reports.timing import Timekeeper
from fae.tracking.archive import StoredRun


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        mean_image: test error of the mean of the training images (the first row's).
        apart: runs that are not counted, each with the reason.
        missing: runs that the sweeps planned and the store does not have.
        incomplete: whether a run is missing or apart without another in its place.
        origin: what made the numbers, heading to values.
    """

    name: str
    tolerance: float
    mean_image: float
    rows: list[Row]
    claims: list[Claim]
    comparisons: list[Comparison]
    apart: list[dict[str, str]]
    missing: int
    incomplete: bool
    origin: dict[str, list[str]]


def summarise(
    selection: Selection,
    *,
    tolerance: float,
    beside: Sequence[StoredRun],
    pca: Callable[[Record], NDArray[np.float64]],
    parameters: Callable[[Record], int],
) -> Summary:
    """Work out the numbers.

    Args:
        tolerance: of the verdict, a share.
        beside: what ran while the selected runs did, they themselves among it.
        pca: test errors of PCA on a record's data, by the number of components.
        parameters: of a record's network.
    """
    timekeeper = Timekeeper(selection.records, beside)
    rows = [
        setting_row(
            title,
            records,
            tolerance=tolerance,
            pca=pca(records[0]),
            parameters=parameters(records[0]),
            timekeeper=timekeeper,
        )
        for title, records in selection.settings().items()
    ]
    return Summary(
        name=selection.name,
        tolerance=tolerance,
        mean_image=float(pca(selection.records[0])[0]),
        rows=rows,
        claims=claims(rows),
        comparisons=comparisons(rows),
        apart=[_apart(apart) for apart in selection.apart],
        missing=selection.missing,
        incomplete=selection.missing > 0 or not all(a.replaced for a in selection.apart),
        origin=_origin(selection.records),
    )


def _apart(apart: Apart) -> dict[str, str]:
    run = apart.run
    return {"id": run.id, "name": run.name, "status": run.status, "reason": apart.reason}


def _origin(records: Sequence[Record]) -> dict[str, list[str]]:
    def distinct(describe: Callable[[Mapping[str, str]], str]) -> list[str]:
        return list(dict.fromkeys(describe(record.run.tags) for record in records))

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
