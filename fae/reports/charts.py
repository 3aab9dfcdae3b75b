"""The charts of a report, made of its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fae.analysis import inside
from fae.analysis.exploration import Exploration
from fae.drawing import chart, looks
from fae.drawing.chart import Axis, Chart, Differences, Look, Plot, Series
from fae.reports.labels import grouped, labels
from fae.reports.rows import Row
from fae.reports.settings import Setting
from fae.reports.summary import Summary
from fae.runtime.formatting import format_share
from fae.runtime.intervals import Estimate

Points = Mapping[int, Estimate] | Mapping[float, Estimate]
"""Estimates, each at its place on the x axis."""

LABELS = {"hidden": "hidden units n", "lr": "learning rate", "batch_size": "batch size"}
"""Labels of axes, by key; other keys are their own."""
OURS = "ours"
ALONE = (
    "Ours with 95 % intervals, and those of as many principal components (PCA{}) and of the mean "
    "training image."
)
WITH_PAPER = (
    "Ours with 95 % intervals, the published ones, and those of as many principal components "
    "(PCA{}) and of the mean training image. Below: how far ours lie from the published ones; a "
    "result is reproduced if its whole interval lies within the grey band of {}."
)

T = TypeVar("T")


def label(key: str) -> str:
    """The label of an axis that shows the values of a key."""
    return LABELS.get(key, key)


def curves(settings: Sequence[Setting], summary: Summary) -> Chart:
    """Error against epoch of each setting, coloured by n, beside published test errors."""
    of_n = looks.in_order(setting.hidden for setting in settings)
    short = labels(settings)
    return chart.curves(
        {short[setting.title]: [run.epochs for run in setting.runs] for setting in settings},
        {short[setting.title]: of_n[setting.hidden] for setting in settings},
        {short[row.title]: row.published for row in summary.rows if row.published is not None},
    )


def errors_by_size(summary: Summary, pca: NDArray[np.float64]) -> Chart:
    """Test error against n: ours with intervals, published ones, PCA's and the mean image's.

    Below, where there are published ones: how far ours lie from them, beside the tolerance.

    Args:
        pca: test error of PCA by the number of components, of the first row's data.
    """
    span = _span(_sizes(summary))
    groups = {others or OURS: rows for others, rows in grouped(summary.rows).items()}
    ours = {name: {row.hidden: row.test for row in rows} for name, rows in groups.items()}
    papers = _published({row.hidden: row.published for row in summary.rows})
    mean = Series("mean image", span, [summary.mean_image] * len(span), "dotted")
    how = "" if summary.pca_is_exact else ", computed incrementally"
    beside = [pca_curve(pca, _sizes(summary)), mean, *papers]
    drawn = errors_against("error_by_size", Axis(label("hidden"), log=True), ours, others=beside)
    return replace(
        drawn,
        heading="Test error against n",
        plots=[Plot("", drawn.series, _from_published(groups))],
        below=Differences("ours / paper\n\N{MINUS SIGN} 1", summary.tolerance) if papers else None,
        caption=(WITH_PAPER if papers else ALONE).format(how, format_share(summary.tolerance, "g")),
    )


def errors_against(
    name: str,
    x: Axis,
    groups: Mapping[str, Points],
    *,
    look: Mapping[str, Look] | None = None,
    others: Sequence[Series] = (),
) -> Chart:
    """Test error against a quantity, with intervals, one line per group.

    Args:
        x: the axis of the quantity, which is labelled where there are points.
        groups: label of a line to its points.
        look: of each group; by default looks that tell things without an order apart.
        others: more series.
    """
    drawn = _estimates(groups, look or looks.apart(groups))
    places = sorted({place for points in groups.values() for place in points})
    return Chart(
        name,
        f"Test error against {x.label}",
        replace(x, ticks=_ticks(places)),
        Axis("test error", log=True),
        [Plot("", [*others, *drawn])],
        caption="Means over the seeds, with 95 % intervals; lines side by side are at one place.",
    )


def pca_curve(pca: NDArray[np.float64], sizes: Sequence[int]) -> Series:
    """Test error of PCA with as many components, over the range of some sizes.

    Args:
        pca: by the number of components.
    """
    components = np.unique(np.geomspace(*_span(sizes), 60).round())
    shown = [int(n) for n in components if n < len(pca) and pca[int(n)] > 0]
    return Series("PCA", shown, [float(pca[n]) for n in shown], "dashed")


def times_by_size(summary: Summary) -> Chart:
    """Training time against n: ours as medians with quartiles, and published ones.

    Hollow points are times that are not comparable.
    """
    groups = grouped(summary.rows)
    look = looks.apart(groups)
    ours = [
        Series(
            f"{others or OURS}{remark}",
            [row.hidden for row in rows],
            [row.times.median for row in rows],
            "hollow" if remark else "line",
            look[others],
            [row.times.low for row in rows],
            [row.times.high for row in rows],
            shift,
        )
        for shift, (others, group) in _side_by_side(groups)
        for remark, rows in _by_remark(group).items()
        if rows
    ]
    papers = _published({row.hidden: row.published_s for row in summary.rows})
    return Chart(
        "time_by_size",
        "Training time against n",
        Axis(label("hidden"), _ticks(_sizes(summary)), log=True),
        Axis("training time [s]", log=True),
        [Plot("", [*papers, *ours])],
        caption="Ours as medians with quartiles"
        + (", and the published ones, measured on another machine." if papers else "."),
    )


def code_spaces(found: Sequence[Exploration]) -> Chart:
    """The code spaces of networks, one plot each, coloured by class.

    Args:
        found: at least one, all by the same images.
    """
    look = looks.of_classes(found[0].groups)
    plots = [
        Plot(
            f"{each.title}: {inside.variance(each.space)}",
            [
                Series(name, x.tolist(), y.tolist(), "cloud", look[name])
                for name, which in each.groups.items()
                for x, y in [each.space.positions[which].T]
            ],
        )
        for each in found
    ]
    alone = f" n = 1: {inside.ONE_UNIT}" if found[0].run.config.hidden == 1 else ""
    return Chart(
        "code_spaces",
        "Code space",
        Axis("first component"),
        Axis("second component"),
        plots,
        caption=f"{inside.about_space(found[0])} Of the networks of seed {found[0].run.seed}; "
        f"titles give how much of the variance of the codes lies along both.{alone}",
    )


def _span(sizes: Sequence[int]) -> tuple[float, float]:
    """The range of some sizes, and for a single one also what is around it."""
    around = 1.25 if len(set(sizes)) == 1 else 1.0
    return min(sizes) / around, max(sizes) * around


def _sizes(summary: Summary) -> list[int]:
    return sorted({row.hidden for row in summary.rows})


def _estimates(groups: Mapping[str, Points], look: Mapping[str, Look]) -> list[Series]:
    return [
        Series(
            group,
            list(points),
            [at.mean for at in points.values()],
            "line",
            look[group],
            [at.mean if at.low is None else at.low for at in points.values()],
            [at.mean if at.high is None else at.high for at in points.values()],
            shift,
        )
        for shift, (group, points) in _side_by_side(groups)
    ]


def _from_published(groups: Mapping[str, Sequence[Row]]) -> list[Series]:
    """How far the errors lie from published ones, as shares of these."""
    shares = {
        name: {row.hidden: _share(row.test, row.published) for row in rows if row.published}
        for name, rows in groups.items()
    }
    drawn = _estimates(shares, looks.apart(groups))
    return [replace(series, label="", kind="points") for series in drawn if series.x]


def _share(test: Estimate, published: float) -> Estimate:
    """The relative difference from a published error."""

    def of(error: float | None) -> float | None:
        return None if error is None else error / published - 1

    return Estimate(test.mean / published - 1, test.n, of(test.low), of(test.high))


def _side_by_side(groups: Mapping[str, T]) -> list[tuple[float, tuple[str, T]]]:
    """Each group with the shift at which it hides no other."""
    middle = (len(groups) - 1) / 2
    return [(i - middle, group) for i, group in enumerate(groups.items())]


def _published(published: Mapping[int, float | None]) -> list[Series]:
    known = {n: value for n, value in published.items() if value is not None}
    return [Series("paper", list(known), list(known.values()), "reference")] if known else []


def _ticks(sizes: Sequence[float]) -> list[float]:
    """At most eight of some sizes, evenly spaced on a logarithmic axis."""
    if len(sizes) <= 8:
        return list(sizes)
    even = np.geomspace(sizes[0], sizes[-1], 8)
    return sorted({min(sizes, key=lambda size: abs(size - place)) for place in even})


def _by_remark(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows whose times can be compared, and others, by what is added to their label."""
    return {
        "": [row for row in rows if row.times.remark is None],
        " (not comparable)": [row for row in rows if row.times.remark is not None],
    }
