"""Figures of charts: what is drawn, read back from matplotlib's objects."""

import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from fae.drawing import figures
from fae.drawing.chart import Axis, Chart, Differences, Kind, Look, Plot, Series, curves

EPOCHS = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]


def drawn(*series: Series, log_x: bool = True, below: Differences | None = None) -> Figure:
    """A chart of one plot, whose lower panel has the same series."""
    x = Axis("n", [64, 128], log=log_x)
    plot = Plot("", list(series), list(series) if below else [])
    return figures.draw(Chart("name", "heading", x, Axis("error", log=True), [plot], below))


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def test_curves_stand_above_the_gap_between_them() -> None:
    figure = figures.draw(curves({"n = 1": [EPOCHS]}))
    upper, lower = figure.axes
    training, validation = upper.lines
    np.testing.assert_array_equal(training.get_xdata(), [1, 2])
    np.testing.assert_array_equal(training.get_ydata(), [0.3, 0.1])
    np.testing.assert_array_equal(validation.get_ydata(), [0.4, 0.2])
    assert upper.get_yscale() == "log"
    assert lower.get_yscale() == "linear"
    np.testing.assert_allclose(np.asarray(lower.lines[0].get_ydata()), [1 / 3, 1])
    assert ticks(lower) == ["1", "2"]


def test_up_to_five_plots_stand_in_one_row() -> None:
    def shape(settings: int) -> tuple[int, int]:
        figure = figures.draw(curves({f"n = {n}": [EPOCHS] for n in range(settings)}))
        rows, columns = figure.axes[0].get_gridspec().get_geometry()  # type: ignore[union-attr]
        assert sum(axes.get_visible() for axes in figure.axes) == 2 * settings
        assert figure.get_figwidth() <= figures.WIDEST
        return rows // 2, columns

    assert [shape(n) for n in (1, 2, 4, 5, 6, 7, 16)] == [
        (1, 1),
        (1, 2),
        (1, 4),
        (1, 5),
        (2, 3),
        (2, 4),
        (4, 4),
    ]


def test_all_plots_have_the_same_scales() -> None:
    high = [{"train/mse": 3.0, "val/mse": 6.0}]
    figure = figures.draw(curves({"n = 1": [EPOCHS], "n = 2": [high]}))
    for panels in (figure.axes[:2], figure.axes[2:]):
        (limits,) = {(axes.get_xlim(), axes.get_ylim()) for axes in panels}
        assert limits[0][0] < 1
        assert limits[0][1] > 2
    assert figure.axes[0].get_ylim()[0] < 0.1
    assert figure.axes[0].get_ylim()[1] > 6


def test_one_legend_is_grey_where_plots_differ_in_colour() -> None:
    looks = {"n = 1": Look("#111111"), "n = 2": Look("#222222")}
    (legend,) = figures.draw(curves({title: [EPOCHS] for title in looks}, looks)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]
    shown = [to_hex(handle.get_color()) for handle in legend.legend_handles]  # type: ignore[union-attr]
    assert shown == ["#808080", "#000000"]


def test_a_legend_of_many_is_left_out() -> None:
    series = [Series(f"{i}", [64], [1.0], "points") for i in range(17)]
    assert len(drawn(*series[:16]).legends) == 1
    assert drawn(*series).legends == []


def test_bands_follow_curves_and_bars_stand_on_markers() -> None:
    slower = [{name: value * 2 for name, value in epoch.items()} for epoch in EPOCHS]
    axes = figures.draw(curves({"n = 1": [EPOCHS, slower]})).axes[0]
    assert len(axes.collections) == 2
    figure = drawn(Series("", [64, 128], [2, 3], "line", low=[1, 2], high=[3, 4]))
    assert len(figure.axes[0].containers) == 1
    assert ticks(figure.axes[0]) == ["64", "128"]


@pytest.mark.parametrize(
    ("kind", "points", "marker"),
    [
        ("curve", 2, ""),
        ("curve", 1, "o"),
        ("thick", 1, "o"),
        ("line", 2, "s"),
        ("dashed", 2, ""),
        ("points", 2, "s"),
        ("hollow", 2, "s"),
        ("reference", 2, "D"),
    ],
)
def test_points_along_a_line_are_marked_where_they_count(
    kind: Kind, points: int, marker: str
) -> None:
    values = [1.0] * points
    (line,) = drawn(Series("", values, values, kind, Look("black", "s"))).axes[0].lines
    assert line.get_marker() == marker


def test_shifted_marks_stand_side_by_side_and_nothing_is_cut_off() -> None:
    figure = drawn(
        *(
            Series("", [64, 128], [0.1, 0.2], "line", low=[0.01, 0.1], high=[0.3, 4], shift=shift)
            for shift in (-1, 1)
        )
    )
    (axes,) = figure.axes
    first, second = (
        line.get_transform().transform(np.asarray(line.get_xydata()))[0, 0]
        for line in axes.lines
        if line.get_marker() == "o"
    )
    assert second - first == pytest.approx(2 * figures.SHIFT / 72 * figure.dpi)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert (left < 64, right > 128, low < 0.01, high > 4) == (True,) * 4


def test_differences_are_in_percent_beside_the_tolerance() -> None:
    series = Series("", [64, 128], [0.01, 0.02], "points")
    _, lower = drawn(series, below=Differences("ours", 0.03)).axes
    assert [label.get_text() for label in lower.get_yticklabels()] == [
        "\N{MINUS SIGN}3 %",
        "0 %",
        "+3 %",
    ]
    (band,) = lower.patches
    assert band.get_extents().height > 0
    assert lower.get_ylim()[1] > 0.03


def test_an_interval_that_reaches_below_zero_leaves_a_logarithmic_axis_upright() -> None:
    """Its lower end has no place there."""
    figure = drawn(Series("", [64, 128], [0.05, 0.04], "line", low=[-0.1, 0.03], high=[0.2, 0.05]))
    assert "NaN" not in figures.as_svg(figure)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < 0.03
    assert 0.2 < high < 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0006, 0.09], ["0.001", "0.003", "0.01", "0.03"]),
        ([0.02, 0.06], ["0.02", "0.03", "0.05"]),
        ([0.0410, 0.0418], ["0.041", "0.0412", "0.0414", "0.0416", "0.0418"]),
        ([1e-9, 1.0], ["1e-09", "1e-07"]),
    ],
)
def test_a_logarithmic_axis_has_round_labels(values: list[float], expected: list[str]) -> None:
    (axes,) = drawn(Series("", [64, 128], values, "line")).axes
    found = [label.get_text() for label in axes.get_yticklabels()]
    assert set(expected) <= set(found)
    assert 3 <= len(found) <= 8


def test_errors_of_zero_are_drawn_as_far_as_they_can_be() -> None:
    perfect = [{"train/mse": 0.0, "val/mse": 0.0}]
    upper, lower = figures.draw(curves({"n = 1": [perfect]})).axes
    assert upper.get_ylim()[0] > 0
    assert lower.lines[0].get_ydata() == [0.0]


def test_svg_is_the_same_each_time_and_needs_no_font() -> None:
    svg, again = (figures.as_svg(figures.draw(curves({"n = 1": [EPOCHS]}))) for _ in range(2))
    assert svg == again
    assert "<text" not in svg


def test_text_is_no_mathematics_printable_and_large_enough() -> None:
    title = "$\\foo$ \x1b[2J"
    figure = figures.draw(curves({title: [EPOCHS], "n = 2": [EPOCHS]}))
    figure.savefig(io.BytesIO())
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    assert any(r"$\foo$ \x1b[2J" in text.get_text() for text in texts)
    assert min(float(text.get_fontsize()) for text in texts if text.get_text()) >= 8


def test_characters_that_the_font_lacks_are_drawn_without_a_warning() -> None:
    figure = figures.draw(curves({"写真": [EPOCHS]}))
    figure.savefig(io.BytesIO())  # a warning is an error here


def test_a_cloud_is_an_image_within_the_svg_and_small() -> None:
    """Whose legend has dots large enough to tell their colours."""
    x = np.random.default_rng(0).normal(size=3000).tolist()
    cloud = [Series(label, x, x[::-1], "cloud") for label in "ab"]
    figure = figures.draw(Chart("cloud", "Cloud", Axis("x"), Axis("y"), [Plot("", cloud)]))
    svg = figures.as_svg(figure)
    assert svg.count("<image") == 1
    assert len(svg) < 100_000
    assert figures.as_svg(figure) == svg
    (legend,) = figure.legends
    assert {handle.get_markersize() for handle in legend.get_lines()} == {6}
