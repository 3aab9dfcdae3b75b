"""Charts as values: what stands where."""

import pytest

from fae.drawing.chart import BLACK, Look, Series, curves

FAST = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]
SLOW = [{"train/mse": 0.5, "val/mse": 0.8}, {"train/mse": 0.3, "val/mse": 0.4}]
LOOK = Look("#123456", "s")


def test_one_run_has_one_plot_with_both_curves_and_the_gap_between_them() -> None:
    chart = curves({"n = 1": [FAST]}, {"n = 1": LOOK})
    (plot,) = chart.plots
    assert plot.title == "n = 1: 0.2000"
    assert plot.series == [
        Series("training", [1, 2], [0.3, 0.1], "thick", LOOK),
        Series("validation", [1, 2], [0.4, 0.2], "curve", BLACK),
    ]
    (gap,) = plot.differences
    assert gap.y == pytest.approx([1 / 3, 1])
    assert gap.look == LOOK
    assert chart.y.log


def test_several_runs_are_a_mean_with_their_range() -> None:
    (plot,) = curves({"n = 1": [FAST, SLOW]}).plots
    validation = plot.series[1]
    assert validation.y == pytest.approx([0.6, 0.3])
    assert (validation.low, validation.high) == ([0.4, 0.2], [0.8, 0.4])
    (gap,) = plot.differences
    assert gap.y == pytest.approx([(1 / 3 + 0.6) / 2, 2 / 3])
    assert gap.low == pytest.approx([1 / 3, 1 / 3])


def test_after_a_run_has_ended_the_others_continue() -> None:
    (plot,) = curves({"n = 1": [FAST, SLOW[:1]]}).plots
    assert plot.series[0].x == [1, 2]
    assert plot.series[0].y == pytest.approx([0.4, 0.1])
    assert plot.series[0].high == [0.5, 0.1]


def test_of_many_settings_the_best_are_shown() -> None:
    histories = {f"n = {n}": [[{"train/mse": 1 / n, "val/mse": 1 / n}]] for n in range(1, 21)}
    chart = curves(histories)
    assert [plot.title.partition(":")[0] for plot in chart.plots] == [
        f"n = {n}" for n in range(5, 21)
    ]
    assert "the 16 settings with the lowest error" in chart.caption


def test_a_published_error_stands_at_the_last_epoch() -> None:
    chart = curves({"n = 1": [FAST], "n = 2": [SLOW]}, published={"n = 2": 0.35})
    assert len(chart.plots[0].series) == 2
    assert chart.plots[1].series[2] == Series("the paper's test error", [2], [0.35], "reference")
    assert "paper" in chart.caption
    assert "paper" not in curves({"n = 1": [FAST]}).caption


@pytest.mark.parametrize(
    ("last", "ticks"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (7, [1, 4, 7]),
        (30, [1, 10, 20, 30]),
        (31, [1, 10, 20, 31]),
        (100, [1, 20, 40, 60, 80, 100]),
    ],
)
def test_the_first_and_the_last_epoch_are_labelled(last: int, ticks: list[float]) -> None:
    assert curves({"n = 1": [FAST[:1] * last]}).x.ticks == ticks
