"""Charts as values: what stands where."""

import pytest

from fae.drawing.chart import Series, curves

FAST = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]
SLOW = [{"train/mse": 0.5, "val/mse": 0.8}, {"train/mse": 0.3, "val/mse": 0.4}]


def test_one_run_has_one_plot_with_both_curves() -> None:
    (plot,) = curves({"n = 1": [FAST]}).plots
    assert plot.title == "n = 1"
    assert plot.series == [
        Series("training", [1, 2], [0.3, 0.1], "thick", 0),
        Series("validation", [1, 2], [0.4, 0.2], "line", None),
    ]


def test_several_runs_are_a_mean_with_their_range() -> None:
    (plot,) = curves({"n = 1": [FAST, SLOW]}).plots
    validation = plot.series[1]
    assert validation.y == pytest.approx([0.6, 0.3])
    assert (validation.low, validation.high) == ([0.4, 0.2], [0.8, 0.4])


def test_after_a_run_has_ended_the_others_continue() -> None:
    (plot,) = curves({"n = 1": [FAST, SLOW[:1]]}).plots
    assert plot.series[0].x == [1, 2]
    assert plot.series[0].y == pytest.approx([0.4, 0.1])
    assert plot.series[0].high == [0.5, 0.1]


def test_of_many_settings_the_best_have_plots_of_their_own() -> None:
    histories = {f"n = {n}": [[{"train/mse": 1 / n, "val/mse": 1 / n}]] for n in range(1, 21)}
    together, *own = curves(histories).plots
    assert len(together.series) == 40
    assert [plot.title for plot in own] == [f"n = {n}" for n in range(5, 21)]


def test_several_settings_are_shown_together_first() -> None:
    chart = curves({"n = 1": [FAST], "n = 2": [SLOW]})
    assert [plot.title for plot in chart.plots] == [
        "training (thick) and validation",
        "n = 1",
        "n = 2",
    ]
    assert [series.label for series in chart.plots[0].series] == ["n = 1", "", "n = 2", ""]
    assert chart.plots[0].series[2].y == [0.5, 0.3]
    assert chart.plots[0].series[3].y == [0.8, 0.4]


def test_a_legend_of_many_is_left_out() -> None:
    plots = curves({f"n = {n}": [FAST] for n in range(11)}).plots
    assert [plot.legend for plot in plots[:2]] == [False, True]
