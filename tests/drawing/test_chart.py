"""Charts as data: what stands where."""

import numpy as np
import pytest
from records import pca, record, stored, summary

from fae.drawing import chart as charts
from fae.drawing.chart import Series
from fae.runtime.intervals import estimate

FAST = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]
SLOW = [{"train/mse": 0.5, "val/mse": 0.8}, {"train/mse": 0.3, "val/mse": 0.4}]


def test_one_run_has_one_plot_with_both_curves() -> None:
    (plot,) = charts.curves({"n = 1": [FAST]}).plots
    assert plot.title == "n = 1"
    assert plot.series == [
        Series("training", [1, 2], [0.3, 0.1], "thick", 0),
        Series("validation", [1, 2], [0.4, 0.2], "line", None),
    ]


def test_several_runs_are_a_mean_with_their_range() -> None:
    (plot,) = charts.curves({"n = 1": [FAST, SLOW]}).plots
    validation = plot.series[1]
    assert validation.y == pytest.approx([0.6, 0.3])
    assert (validation.low, validation.high) == ([0.4, 0.2], [0.8, 0.4])


def test_where_a_run_has_ended_the_others_go_on() -> None:
    (plot,) = charts.curves({"n = 1": [FAST, SLOW[:1]]}).plots
    assert plot.series[0].x == [1, 2]
    assert plot.series[0].y == pytest.approx([0.4, 0.1])
    assert plot.series[0].high == [0.5, 0.1]


def test_of_many_settings_the_best_have_plots_of_their_own() -> None:
    histories = {f"n = {n}": [[{"train/mse": 1 / n, "val/mse": 1 / n}]] for n in range(1, 21)}
    together, *own = charts.curves(histories).plots
    assert len(together.series) == 40
    assert [plot.title for plot in own] == [f"n = {n}" for n in range(5, 21)]


def test_several_settings_are_shown_together_first() -> None:
    chart = charts.curves({"n = 1": [FAST], "n = 2": [SLOW]})
    assert [plot.title for plot in chart.plots] == [
        "training (thick) and validation",
        "n = 1",
        "n = 2",
    ]
    assert [series.label for series in chart.plots[0].series] == ["n = 1", "", "n = 2", ""]
    assert chart.plots[0].series[2].y == [0.5, 0.3]
    assert chart.plots[0].series[3].y == [0.8, 0.4]


def by_label(series: list[Series]) -> dict[str, Series]:
    return {one.label: one for one in series}


def test_errors_stand_beside_the_papers_and_pca() -> None:
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
    assert [one.label for one in series[:2]] == ["optimizer=sgd", "optimizer=adam"]
    assert [one.colour for one in series[:2]] == [0, 1]


def test_times_that_do_not_compare_are_hollow() -> None:
    beside = [stored("a", started=0, ended=9), stored("b", started=5, ended=12)]
    found = summary(
        record(64, 0, 0.04, run=beside[0], fit_s=7.0), record(128, 0, 0.03), beside=beside
    )
    series = by_label(charts.times_by_size(found).plots[0].series)
    assert (series["ours"].kind, series["ours"].x) == ("line", [128])
    crowded = series["ours (not to be compared)"]
    assert (crowded.kind, crowded.x, crowded.y) == ("hollow", [64], [7.0])
    assert series["paper"].y == [417.2, 412.9]


def test_many_sizes_have_few_labels_evenly_apart() -> None:
    found = summary(*(record(n, 0, 1 / n) for n in range(2, 42)))
    chart = charts.times_by_size(found)
    assert chart.ticks == [2, 3, 5, 7, 11, 17, 27, 41]
    np.testing.assert_array_less(np.diff(np.log(chart.ticks)), 0.6)


def test_a_legend_of_many_is_left_out() -> None:
    plots = charts.curves({f"n = {n}": [FAST] for n in range(11)}).plots
    assert [plot.legend for plot in plots[:2]] == [False, True]
