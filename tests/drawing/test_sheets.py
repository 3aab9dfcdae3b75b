"""Sheets of pictures: what stands where, read back from matplotlib's objects."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from records import IMAGES, gallery, panel

from fae.drawing import sheets
from fae.drawing.figures import WIDEST
from fae.drawing.pictures import Picture, picture, tiles


def words(figure: Figure) -> list[str]:
    """In the order they were drawn."""
    return [text.get_text() for text in figure.axes[0].texts]


def shown(figure: Figure) -> dict[tuple[int, int], Picture]:
    """The pictures by column and row, from the top left."""
    found = {}
    for image in figure.axes[0].images:
        left, _, _, top = image.get_extent()
        place = (left - sheets.LEFT) / sheets.PITCH, (top - sheets.TOP) / sheets.PITCH
        found[round(place[0]), round(place[1])] = np.asarray(image.get_array())
    return found


def test_reconstructions_stand_below_their_originals() -> None:
    rows = {"n = 1\ntest error 0.1": IMAGES, "PCA": panel(0.25).reconstructions}
    figure = sheets.reconstructions(panel(0.5), rows)
    assert words(figure) == ["Shirt", "Bag", "original", "n = 1\ntest error 0.1", "PCA"]
    found = shown(figure)
    assert {*found} == {(x, y) for x in range(2) for y in range(3)}
    np.testing.assert_array_equal(found[1, 0], picture(IMAGES[1]))
    np.testing.assert_array_equal(found[1, 2], picture(IMAGES[1] / 4))


def test_there_are_ten_columns_at_most() -> None:
    many = replace(panel(1), originals=np.repeat(IMAGES, 6, axis=0), classes=["x"] * 12)
    figure = sheets.reconstructions(many, {"n = 1": many.originals})
    assert {column for column, _ in shown(figure)} == {*range(10)}
    assert figure.get_figwidth() <= 9.4


def test_images_in_colour_stay_in_colour() -> None:
    colours = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 12)
    figure = sheets.reconstructions(replace(panel(1), originals=colours), {"n = 1": colours})
    for image in shown(figure).values():
        assert image.shape == (2, 2, 3)
    np.testing.assert_array_equal(shown(figure)[1, 1], picture(colours[1]))


def test_a_long_name_of_a_class_is_shortened() -> None:
    named = replace(panel(1), classes=["x" * 12, "y" * 13])
    assert words(sheets.reconstructions(named, {}))[:2] == ["x" * 12, "y" * 11 + "…"]


def test_a_long_label_keeps_its_error() -> None:
    label = "n = 64 lr=0.007 experiment=best/512 batch_size=100 optimizer=adam\ntest error 0.1"
    *_, written = words(sheets.reconstructions(panel(1), {label: IMAGES}))
    assert written.startswith("n = 64 lr=0.007\nexperiment=\nbest/512 ...")
    assert written.endswith(" ...\ntest error 0.1")


def test_extremes_are_three_triples_per_network_with_heads_and_a_scale() -> None:
    figure = sheets.extremes([gallery("n = 1", 0.5), gallery("n = 2", 0.25)])
    assert len(figure.axes[0].images) == 18
    found = words(figure)
    heads = ["original", "reconstruction", "difference"]
    assert found[:5] == ["n = 1", "best", *heads]
    assert [word for word in found if word in ("best", "median", "worst")] == [
        "best",
        "median",
        "worst",
    ]
    assert found.count("difference") == 3
    assert "Bag: 0.5000" in found
    assert found[-1] == sheets.RANKED
    scale = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert scale == ["\N{MINUS SIGN}0.5 (too dark)", "0", "+0.5 (too bright)"]


def test_hidden_units_have_equal_boxes_of_whole_pixels_and_a_remark() -> None:
    few = replace(gallery("n = 2", 1), weights=np.ones((2, 4), np.float32))
    figure = sheets.hidden_units([gallery("n = 5", 1), few])
    first, second = figure.axes[0].images
    np.testing.assert_array_equal(
        np.asarray(first.get_array()), tiles(np.ones((5, 4), np.float32), 3)
    )
    sizes = []
    for image in (first, second):
        left, right, bottom, top = image.get_extent()
        high, wide, _ = np.asarray(image.get_array()).shape
        sizes += [(right - left) / wide * sheets.DPI, (bottom - top) / high * sheets.DPI]
        assert left * sheets.DPI == pytest.approx(round(left * sheets.DPI))
        assert top * sheets.DPI == pytest.approx(round(top * sheets.DPI))
    assert sizes == pytest.approx([round(sizes[0])] * 4)
    said = words(figure)[0].replace("\n", " ")
    assert said == f"{gallery('n = 5', 1).caption} {gallery('n = 5', 1).remark}"


def test_hidden_units_of_large_images_are_no_wider_than_a_page() -> None:
    for side in (32, 64, 200):
        large = replace(gallery("n = 64", 1), weights=np.ones((64, side * side), np.float32))
        figure = sheets.hidden_units([large] * 5)
        assert len(figure.axes[0].images) == 5
        left, right, *_ = figure.axes[0].images[0].get_extent()
        assert right - left >= sheets.NARROWEST, "room for the words above"
        assert figure.get_figwidth() <= 9.5


def test_text_is_no_mathematics_printable_and_large_enough() -> None:
    title = "$\\foo$ \x1b[2J"
    for figure in (
        sheets.reconstructions(panel(1), {title: IMAGES}),
        sheets.extremes([gallery(title, 0.5)]),
        sheets.hidden_units([gallery(title, 0.5)]),
    ):
        figure.savefig(io.BytesIO())
        texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
        assert any(r"$\foo$ \x1b[2J" in text.get_text() for text in texts)
        assert min(float(text.get_fontsize()) for text in texts if text.get_text()) >= 8


def test_strips_are_rows_with_labels_and_heads_no_wider_than_a_page() -> None:
    images = np.vstack([IMAGES] * 10)
    figure = sheets.strips([("a to b", images), ("c to d", images[::-1])], ["first", "second"])
    assert words(figure) == ["first", "second", "a to b", "c to d"]
    assert len(figure.axes[0].images) == 40
    np.testing.assert_array_equal(figure.axes[0].images[1].get_array(), picture(IMAGES[1]))
    assert figure.get_figwidth() <= WIDEST + 1e-9
    assert list(sheets.strips([("", IMAGES)]).get_size_inches()) == pytest.approx(
        [0.05 + 2 * sheets.PITCH, sheets.TOP + sheets.PITCH]
    )
