"""The charts of a report, made of its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fae.drawing.chart import Chart, Kind, Plot, Series
from fae.reports.claims import group_by_others
from fae.reports.rows import Row
from fae.reports.summary import Summary
from fae.runtime.intervals import Estimate

Points = Mapping[int, Estimate] | Mapping[float, Estimate]
"""Estimates, each at its place on the x axis."""


def errors_by_size(summary: Summary, pca: NDArray[np.float64]) -> Chart:
    """Test error against n: ours with intervals, published ones, PCA's and the mean image's.

    Args:
        pca: test error of PCA by the number of components, of the first row's data.
    """
    sizes = sorted({row.hidden for row in summary.rows})
    components = np.unique(np.geomspace(sizes[0], min(sizes[-1], len(pca) - 1), 50).round())
    shown = [int(n) for n in components if n < len(pca) and pca[int(n)] > 0]
    linear = Series("PCA", shown, [float(pca[n]) for n in shown], "dashed", None)
    mean = Series("mean image", sizes, [summary.mean_image] * len(sizes), "dotted", None)
    ours = {
        others or "ours": {row.hidden: row.test for row in rows}
        for others, rows in group_by_others(summary.rows).items()
    }
    papers = _published({row.hidden: row.published for row in summary.rows})
    beside = [*papers, linear, mean]
    chart = errors_against("error_by_size", "hidden units n", ours, logarithmic=True, others=beside)
    return replace(
        chart,
        heading="Test error against n",
        caption=f"Ours with 95 % intervals{', the published ones,' if papers else ''} and those of "
        "as many principal components (PCA) and of the mean training image.",
    )


def errors_against(
    name: str,
    label: str,
    groups: Mapping[str, Points],
    *,
    logarithmic: bool,
    others: Sequence[Series] = (),
) -> Chart:
    """Test error against a quantity, with intervals, one line per group.

    Args:
        label: of the quantity.
        groups: label of a line to its points.
        logarithmic: whether the axes are.
        others: more series.
    """
    lines = [
        Series(
            group,
            list(points),
            [at.mean for at in points.values()],
            "line",
            colour,
            [at.mean if at.low is None else at.low for at in points.values()],
            [at.mean if at.high is None else at.high for at in points.values()],
        )
        for colour, (group, points) in enumerate(groups.items())
    ]
    places = _ticks(sorted({x for points in groups.values() for x in points}))
    return Chart(
        name,
        f"Test error against {label}",
        label,
        "test error",
        [Plot("", [*lines, *others])],
        places if logarithmic else [],
        log_y=logarithmic,
        whole_x=False,
        caption="Means over the seeds, with 95 % intervals.",
    )


def times_by_size(summary: Summary) -> Chart:
    """Training time against n: ours as medians with quartiles, and published ones.

    Hollow points are times that are not comparable.
    """
    sizes = sorted({row.hidden for row in summary.rows})
    ours = [
        Series(
            f"{others or 'ours'}{remark}",
            [row.hidden for row in rows],
            [row.times.median for row in rows],
            kind,
            colour,
            [row.times.low for row in rows],
            [row.times.high for row in rows],
        )
        for colour, (others, group) in enumerate(group_by_others(summary.rows).items())
        for kind, remark, rows in _by_remark(group)
        if rows
    ]
    papers = _published({row.hidden: row.published_s for row in summary.rows})
    return Chart(
        "time_by_size",
        "Training time against n",
        "hidden units n",
        "training time [s]",
        [Plot("", [*ours, *papers])],
        _ticks(sizes),
        log_y=True,
        caption="Ours as medians with quartiles"
        + (", and the published ones, measured on another machine." if papers else "."),
    )


def _published(published: Mapping[int, float | None]) -> list[Series]:
    known = {n: value for n, value in published.items() if value is not None}
    return [Series("paper", list(known), list(known.values()), "points", None)] if known else []


def _ticks(sizes: Sequence[float]) -> list[float]:
    """At most eight of some sizes, evenly spaced on a logarithmic axis."""
    if len(sizes) <= 8:
        return list(sizes)
    even = np.geomspace(sizes[0], sizes[-1], 8)
    return sorted({min(sizes, key=lambda size: abs(size - place)) for place in even})


def _by_remark(rows: Sequence[Row]) -> list[tuple[Kind, str, list[Row]]]:
    comparable = [row for row in rows if row.times.remark is None]
    others = [row for row in rows if row.times.remark is not None]
    return [("line", "", comparable), ("hollow", " (not comparable)", others)]
