"""Charts made of a report's numbers: what stands where."""

import numpy as np
import pytest
from inner import Known, inputs, run_of
from records import pca, record, stored, summary

from fae.analysis import inside
from fae.analysis.exploration import explore
from fae.drawing.chart import Series
from fae.reports import charts
from fae.reports.settings import group
from fae.runtime.intervals import estimate


def by_label(series: list[Series]) -> dict[str, Series]:
    return {drawn.label: drawn for drawn in series}


def test_errors_stand_beside_published_ones_and_pca() -> None:
    runs = [record(n, seed, 1 / n + seed / 1e5) for n in (64, 128) for seed in (0, 1, 2)]
    found = summary(*runs, record(100, 0, 0.03))
    chart = charts.errors_by_size(found, pca(runs[0]))
    series = by_label(chart.series)
    assert list(series) == ["PCA", "mean image", "paper", "ours"]
    ours = estimate([1 / 64 + seed / 1e5 for seed in (0, 1, 2)])
    assert series["ours"].x == [64, 100, 128]
    assert series["ours"].low is not None
    assert series["ours"].low[:2] == [ours.low, 0.03]
    assert (series["paper"].x, series["paper"].y) == ([64, 128], [0.0414, 0.0328])
    assert series["PCA"].x[0] == 64
    assert series["PCA"].x[-1] == 128
    assert series["PCA"].y[-1] == 0.1 * 0.5**128
    assert series["mean image"].y == [0.1] * 2
    assert chart.x.ticks == [64, 100, 128]


def test_below_stands_how_far_errors_lie_from_published_ones() -> None:
    runs = [record(64, seed, 0.0414 * (1 + seed / 100)) for seed in (0, 1, 2)]
    found = summary(*runs, record(100, 0, 0.03), record(128, 0, 0.0656), tolerance=0.04)
    chart = charts.errors_by_size(found, pca(runs[0]))
    assert chart.below
    assert chart.below.tolerance == 0.04
    (ours,) = chart.plots[0].differences
    assert ours.x == [64, 128]
    assert ours.y == pytest.approx([0.01, 1.0])
    half = estimate([0, 0.01, 0.02]).half
    assert half
    assert ours.low == pytest.approx([0.01 - half, 1.0])
    assert ours.high == pytest.approx([0.01 + half, 1.0])
    assert ours.look == by_label(chart.series)["ours"].look


def test_a_single_size_has_a_curve_of_pca_around_it() -> None:
    chart = charts.errors_by_size(summary(record(64, 0, 0.04)), pca(record(64, 0, 0.04)))
    series = by_label(chart.series)
    assert (series["PCA"].x[0], series["PCA"].x[-1]) == (51, 80)
    assert series["mean image"].x == (64 / 1.25, 64 * 1.25)


def test_curves_have_the_colour_of_their_n_and_the_published_error() -> None:
    runs = [record(n, 0, 0.04, optimizer__name=name) for n in (64, 512) for name in ("adam", "sgd")]
    chart = charts.curves(group(runs), summary(*runs))
    titles = [plot.title for plot in chart.plots]
    assert titles[0] == "n = 64 optimizer=adam: 0.0404"
    looks = [plot.series[0].look for plot in chart.plots]
    assert looks[0] == looks[1] != looks[2] == looks[3]
    assert [plot.series[2].y for plot in chart.plots] == [[0.0414]] * 2 + [[0.0240]] * 2


def test_each_optimizer_is_a_series_of_its_own() -> None:
    found = summary(
        record(64, 0, 0.04, optimizer__name="sgd"), record(64, 0, 0.02, optimizer__name="adam")
    )
    series = charts.errors_by_size(found, pca(record(64, 0, 0.04))).plots[0].series
    lines = series[-2:]
    assert [line.label for line in lines] == ["optimizer=sgd", "optimizer=adam"]
    assert lines[0].look != lines[1].look
    assert [line.shift for line in lines] == [-0.5, 0.5]


def test_times_that_do_not_compare_are_hollow() -> None:
    overlapping = [stored("a", started=0, ended=9), stored("b", started=5, ended=12)]
    found = summary(
        record(64, 0, 0.04, run=overlapping[0], fit_s=7.0),
        record(128, 0, 0.03),
        concurrent_runs=overlapping,
    )
    series = by_label(charts.times_by_size(found).plots[0].series)
    assert (series["ours"].kind, series["ours"].x) == ("line", [128])
    others = series["ours (not comparable)"]
    assert (others.kind, others.x, others.y) == ("hollow", [64], [7.0])
    assert series["paper"].y == [417.2, 412.9]


def test_many_sizes_have_few_labels_evenly_apart() -> None:
    found = summary(*(record(n, 0, 1 / n) for n in range(2, 42)))
    chart = charts.times_by_size(found)
    assert chart.x.ticks == [2, 3, 5, 7, 11, 17, 27, 41]
    np.testing.assert_array_less(np.diff(np.log(chart.x.ticks)), 0.6)


def test_published_results_are_mentioned_only_where_there_are_any() -> None:
    ours = summary(record(64, 0, 0.04, data="synthetic"))
    theirs = summary(record(64, 0, 0.04))
    for numbers, mentioned in ((ours, False), (theirs, True)):
        errors = charts.errors_by_size(numbers, pca(record(64, 0, 0.04)))
        times = charts.times_by_size(numbers)
        assert ["publ" in chart.caption for chart in (errors, times)] == [mentioned] * 2
        assert (errors.below is not None) == mentioned


def test_code_spaces_stand_side_by_side_in_the_colours_of_the_classes() -> None:
    found = [explore(run_of(Known(n), n), f"n = {n}", inputs()) for n in (1, 2)]
    chart = charts.code_spaces(found)
    assert [plot.title for plot in chart.plots] == [
        "n = 1: 100 % + 0 % of the variance",
        "n = 2: 100 % + 0 % of the variance",
    ]
    for each, plot in zip(found, chart.plots, strict=True):
        dark, bright = plot.series
        assert [dark.label, bright.label] == ["<b>dark</b>", "bright"]
        np.testing.assert_array_equal([bright.x, bright.y], each.space.positions[1::2].T)
        assert dark.kind == bright.kind == "cloud"
        assert dark.look.colour != bright.look.colour
    assert chart.caption.startswith("The 12 test images, by the first two")
    assert chart.caption.endswith(f"n = 1: {inside.ONE_UNIT}")
