"""Figures: what is drawn, read back from matplotlib's objects."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from records import IMAGES, gallery, panel

from fae.drawing import figures
from fae.drawing.chart import Chart, Kind, Plot, Series, curves
from fae.drawing.pictures import grey

EPOCHS = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]


def test_curves_have_one_panel_per_setting_and_both_errors() -> None:
    figure = figures.draw(curves({"n = 1": [EPOCHS]}))
    (axes,) = figure.axes
    training, validation = axes.lines
    np.testing.assert_array_equal(training.get_xdata(), [1, 2])
    np.testing.assert_array_equal(training.get_ydata(), [0.3, 0.1])
    np.testing.assert_array_equal(validation.get_ydata(), [0.4, 0.2])
    assert axes.get_yscale() == "linear"


def test_a_logarithmic_chart_has_a_logarithmic_axis() -> None:
    chart = replace(curves({"n = 1": [EPOCHS]}), log_y=True)
    assert figures.draw(chart).axes[0].get_yscale() == "log"


def test_plots_fill_rows_of_three_or_four() -> None:
    def shape(settings: int) -> tuple[int, int]:
        figure = figures.draw(curves({f"n = {n}": [EPOCHS] for n in range(settings)}))
        rows, columns = figure.axes[0].get_gridspec().get_geometry()  # type: ignore[union-attr]
        assert sum(axes.axison for axes in figure.axes) == settings + (settings > 1)
        return rows, columns

    assert [shape(n) for n in (1, 2, 3, 4, 6)] == [(1, 1), (1, 3), (1, 4), (2, 3), (2, 4)]


def test_bands_follow_lines_and_bars_stand_on_points() -> None:
    slower = [{name: value * 2 for name, value in epoch.items()} for epoch in EPOCHS]
    axes = figures.draw(curves({"n = 1": [EPOCHS, slower]})).axes[0]
    assert len(axes.collections) == 2
    series = Series("", [64, 128], [2, 3], "line", 0, low=[1, 2], high=[3, 4])
    chart = Chart("name", "heading", "n", "error", [Plot("", [series])], ticks=[64, 128])
    axes = figures.draw(chart).axes[0]
    assert len(axes.containers) == 1
    assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "128"]


@pytest.mark.parametrize(
    ("kind", "points", "bars", "marker"),
    [
        ("line", 2, False, ""),
        ("line", 1, False, "."),
        ("thick", 1, False, "."),
        ("line", 2, True, "."),
        ("dashed", 2, True, "None"),
        ("points", 2, False, "x"),
        ("hollow", 2, True, "o"),
    ],
)
def test_points_along_a_line_are_marked_where_they_count(
    kind: Kind, points: int, bars: bool, marker: str
) -> None:
    values = [1.0] * points
    plot = Plot("", [Series("", values, values, kind, 0)])
    chart = Chart("name", "heading", "n", "error", [plot], ticks=[1.0] if bars else [])
    (line,) = figures.draw(chart).axes[0].lines
    assert line.get_marker() == marker


def test_an_interval_that_reaches_below_zero_leaves_a_logarithmic_axis_upright() -> None:
    """Its lower end has no place there."""
    series = Series("", [64, 128], [0.05, 0.04], "line", 0, low=[-0.1, 0.03], high=[0.2, 0.05])
    plot = Plot("", [series])
    chart = Chart("name", "heading", "n", "error", [plot], ticks=[64, 128], log_y=True)
    figure = figures.draw(chart)
    assert "NaN" not in figures.as_svg(figure)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < 0.04
    assert 0.2 < high < 1


def test_svg_is_the_same_each_time_and_needs_no_font() -> None:
    svg, again = (figures.as_svg(figures.draw(curves({"n = 1": [EPOCHS]}))) for _ in range(2))
    assert svg == again
    assert "<text" not in svg


def labels(figure: Figure) -> dict[str, list[str]]:
    """The labels at the left of pictures, above and below them, in the order they were drawn."""
    (axes,) = figure.axes
    places: dict[str, list[str]] = {"center": [], "bottom": [], "top": []}
    for text in axes.texts:
        places[text.get_verticalalignment()].append(text.get_text())
    return dict(zip(("left", "above", "below"), places.values(), strict=True))


def test_reconstructions_stand_beside_their_originals_with_their_errors() -> None:
    figure = figures.reconstructions({"n = 1": panel(0.5), "n = 2": panel(0.25)})
    assert labels(figure) == {
        "left": ["Shirt", "Bag"],
        "above": ["original", "n = 1", "n = 2"],
        "below": ["0.0123", "0.5000"] * 2,
    }
    shown = {
        (left, top): image
        for image in figure.axes[0].images
        for left, _, _, top in [image.get_extent()]
    }
    wide, high = figures.CELL
    assert {*shown} == {(wide * x, high * y) for x in range(3) for y in range(2)}
    np.testing.assert_array_equal(shown[2 * wide, high].get_array(), grey(IMAGES[1] / 4))


def test_extremes_are_three_triples_per_network() -> None:
    figure = figures.extremes([gallery("n = 1", 0.5), gallery("n = 2", 0.25)])
    assert len(figure.axes[0].images) == 18
    found = labels(figure)
    assert (found["left"], found["above"]) == (["n = 1", "n = 2"], ["best", "median", "worst"])
    assert found["below"][4:6] == ["Bag", "0.5000"]


def test_hidden_units_are_counted() -> None:
    figure = figures.hidden_units([gallery("n = 5", 1)])
    assert figure.axes[0].get_title() == "n = 5: 5 units in the first layer, 2 of them dead"
    uncounted = replace(gallery("n = 5", 1), dead=None)
    title = "n = 5: 5 units in the first layer, dead ones not counted"
    assert figures.units_title(uncounted) == title


def test_a_title_is_no_mathematics_and_printable() -> None:
    title = "$\\foo$ \x1b[2J"
    drawn = [
        figures.draw(curves({title: [EPOCHS], "n = 2": [EPOCHS]})),
        figures.reconstructions({title: panel(1)}),
        figures.extremes([gallery(title, 0.5)]),
        figures.hidden_units([gallery(title, 0.5)]),
    ]
    for figure in drawn:
        figure.savefig(io.BytesIO())
        texts = [text.get_text() for text in figure.findobj(Text)]
        assert any(r"$\foo$ \x1b[2J" in text for text in texts)
