"""Pictures, pixel by pixel."""

from dataclasses import replace

import numpy as np
from records import gallery

from fae.drawing import pictures
from fae.drawing.pictures import Floats


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def test_an_image_is_clipped_and_square() -> None:
    assert pictures.picture(floats(-1, 0, 0.5, 2)).tolist() == [[0, 0], [128, 255]]


def test_an_image_in_colour_has_its_channels_one_after_the_other() -> None:
    red, green, blue = [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0.2]
    assert pictures.picture(floats(*red, *green, *blue)).tolist() == [
        [[0, 0, 0], [255, 0, 0]],
        [[0, 255, 0], [255, 255, 51]],
    ]
    assert pictures.is_colour(np.zeros((5, 12), np.float32))
    assert not pictures.is_colour(np.zeros((12, 4), np.float32))


def test_the_name_of_a_class_is_shortened() -> None:
    assert pictures.short("Ankle boot") == "Ankle boot"
    assert pictures.short("hippopotamus") == "hippopotamus"
    assert pictures.short("hippopotamuses") == "hippopotamu…"


def test_differences_are_red_where_too_bright_and_blue_where_too_dark() -> None:
    shown = pictures.error_map(floats(0, 0.5, 1, 0.5), floats(1, 0.5, 0.75, 0.0))
    assert shown.tolist() == [
        [[255, 0, 0], [255, 255, 255]],
        [[128, 128, 255], [0, 0, 255]],
    ]


def test_a_difference_in_colour_has_its_size_over_the_channels_and_the_sign_of_their_mean() -> None:
    """The third pixel is another colour, as bright; the fourth is darker, mostly in green."""
    red, green, blue = [0.5, 0, 0.3, 0], [0.5, 0, -0.3, -0.5], [0.5, 0, 0, 0.1]
    shown = pictures.error_map(np.zeros(12, np.float32), floats(*red, *green, *blue))
    pale = round(255 * (1 - np.sqrt(0.18 / 3) / 0.5))
    paler = round(255 * (1 - np.sqrt(0.26 / 3) / 0.5))
    white = [255, 255, 255]
    assert shown.tolist() == [[[255, 0, 0], white], [[255, pale, pale], [paler, paler, 255]]]


def test_weights_of_colours_are_shown_as_colours_with_0_in_the_middle() -> None:
    red, green, blue = [2, 0, 0, 0], [0, -2, 0, 0], [0, 0, 1, 0]
    (shown,) = [pictures.tiles(floats(*red, *green, *blue)[None])]
    assert shown.tolist() == [
        [[255, 128, 128], [128, 0, 128]],
        [[128, 128, 191], [128, 128, 128]],
    ]


def test_tiles_stand_row_by_row_each_on_its_own_scale() -> None:
    weights = np.stack([floats(1, -1, 0, 0.5) * (unit + 1) for unit in range(5)])
    shown = pictures.tiles(weights, 4)
    assert shown.shape == (5, 11, 3)
    tile = [[[255, 0, 0], [0, 0, 255]], [[255, 255, 255], [255, 128, 128]]]
    for unit in range(5):
        top, left = 3 * (unit // 4), 3 * (unit % 4)
        assert shown[top : top + 2, left : left + 2].tolist() == tile
    assert (shown[2] == 255).all()
    assert (shown[3:, 3:] == 255).all()
    assert pictures.tiles(weights).shape == (5, 8, 3)


def test_a_unit_without_weights_is_white() -> None:
    assert (pictures.tiles(np.zeros((1, 4), np.float32)) == 255).all()


def test_best_median_and_worst_are_of_the_brighter_half() -> None:
    bright = floats(1, 1, 1, 1)
    found = pictures.extremes(floats(0.3, 0.1, 0.4, 0.2), bright)
    assert found == {"best": 1, "median": 3, "worst": 2}
    found = pictures.extremes(floats(0.3, 0.1, 0.4, 0.2), floats(0.5, 0.1, 0.4, 0.2))
    assert found == {"best": 0, "median": 0, "worst": 2}
    assert pictures.extremes(floats(1), floats(0)) == {"best": 0, "median": 0, "worst": 0}


def test_of_many_units_64_are_shown_from_the_first_to_the_last() -> None:
    assert pictures.evenly(3) == [0, 1, 2]
    chosen = pictures.evenly(512)
    assert (len(chosen), chosen[0], chosen[-1]) == (64, 0, 511)
    assert {*np.diff(chosen)} == {8, 9}


def test_units_are_counted_and_their_noise_told() -> None:
    shown = gallery("n = 5", 1)
    assert shown.caption == "n = 5: 5 units, 2 dead"
    assert replace(shown, dead=None).caption == "n = 5: 5 units, dead ones not counted"
    assert replace(shown, units=9).caption == "n = 5: 9 units, 2 dead; 5 shown"
    assert shown.remark == (
        "mostly noise: random numbers drawn before training make up 75 % of the weights' sum of "
        "squares"
    )
    assert replace(shown, noise=0.5).remark.startswith("little noise: ")


def test_pairs_stand_above_each_other_ten_per_row() -> None:
    originals = np.linspace(0, 1, 11 * 4, dtype=np.float32).reshape(11, 4)
    reconstructed = np.array([[2, -1, 0.5, 0]] * 11, np.float32)
    picture = pictures.pairs(originals, reconstructed)
    assert picture.shape == (4 * 2 * 3, 10 * 2 * 3)
    small = picture[::3, ::3]
    assert (small.repeat(3, axis=0).repeat(3, axis=1) == picture).all()
    expected = (originals * 255).round().reshape(11, 2, 2)
    for column in range(10):
        np.testing.assert_array_equal(small[:2, 2 * column :][:, :2], expected[column])
        assert small[2:4, 2 * column :][:, :2].tolist() == [[255, 0], [128, 0]]
    np.testing.assert_array_equal(small[4:6, :2], expected[10])
    assert small[6:, :2].tolist() == [[255, 0], [128, 0]]
    assert (small[4:, 2:] == 0).all()


def test_pairs_of_large_images_are_not_enlarged() -> None:
    for side, times in ((28, 3), (32, 3), (48, 2), (64, 1), (128, 1)):
        images = np.zeros((2, 3 * side * side), np.float32)
        expected = (2 * side * times, 2 * side * times, 3)
        assert pictures.pairs(images, images).shape == expected


def test_fewer_pairs_make_a_narrower_picture() -> None:
    assert pictures.pairs(floats(*[0.5] * 3)[:, None], floats(*[0.5] * 3)[:, None]).shape == (6, 9)
