"""Charts made of a report's numbers: what stands where."""

import numpy as np
from records import pca, record, stored, summary

from fae.drawing.chart import Series
from fae.reports import charts
from fae.runtime.intervals import estimate


def by_label(series: list[Series]) -> dict[str, Series]:
    return {drawn.label: drawn for drawn in series}


def test_errors_stand_beside_published_ones_and_pca() -> None:
    runs = [record(n, seed, 1 / n + seed / 1e5) for n in (64, 128) for seed in (0, 1, 2)]
    found = summary(*runs, record(100, 0, 0.03))
    chart = charts.errors_by_size(found, pca(runs[0]))
    series = by_label(chart.plots[0].series)
    assert list(series) == ["ours", "paper", "PCA", "mean image"]
    ours = estimate([1 / 64 + seed / 1e5 for seed in (0, 1, 2)])
    assert series["ours"].x == [64, 100, 128]
    assert series["ours"].low is not None
    assert series["ours"].low[:2] == [ours.low, 0.03]
    assert (series["paper"].x, series["paper"].y) == ([64, 128], [0.0414, 0.0328])
    assert series["PCA"].x[0] == 64
    assert series["PCA"].x[-1] == 128
    assert series["PCA"].y[-1] == 0.1 * 0.5**128
    assert series["mean image"].y == [0.1] * 3
    assert chart.ticks == [64, 100, 128]


def test_each_optimizer_is_a_series_of_its_own() -> None:
    found = summary(
        record(64, 0, 0.04, optimizer__name="sgd"), record(64, 0, 0.02, optimizer__name="adam")
    )
    series = charts.errors_by_size(found, pca(record(64, 0, 0.04))).plots[0].series
    assert [line.label for line in series[:2]] == ["optimizer=sgd", "optimizer=adam"]
    assert [line.colour for line in series[:2]] == [0, 1]


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
    assert chart.ticks == [2, 3, 5, 7, 11, 17, 27, 41]
    np.testing.assert_array_less(np.diff(np.log(chart.ticks)), 0.6)


def test_published_results_are_mentioned_only_where_there_are_any() -> None:
    ours = summary(record(64, 0, 0.04, data="synthetic"))
    theirs = summary(record(64, 0, 0.04))
    for numbers, mentioned in ((ours, False), (theirs, True)):
        errors = charts.errors_by_size(numbers, pca(record(64, 0, 0.04)))
        times = charts.times_by_size(numbers)
        assert ["publ" in chart.caption for chart in (errors, times)] == [mentioned] * 2
