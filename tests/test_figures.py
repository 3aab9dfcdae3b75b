"""Figures: what is drawn, read back from matplotlib's objects."""

import numpy as np

from fae.figures import curves, pairs, reconstructions

EPOCHS = [{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]


def test_curves_have_a_panel_a_network_and_both_errors() -> None:
    figure = curves({"n = 1": EPOCHS, "n = 2": EPOCHS, "n = 3": EPOCHS})
    assert [axes.get_title() for axes in figure.axes] == ["n = 1", "n = 2", "n = 3"]
    training, validation = figure.axes[0].lines
    np.testing.assert_array_equal(training.get_xdata(), [1, 2])
    np.testing.assert_array_equal(training.get_ydata(), [0.3, 0.1])
    np.testing.assert_array_equal(validation.get_ydata(), [0.4, 0.2])


def test_five_networks_take_two_rows() -> None:
    figure = curves({f"n = {n}": EPOCHS for n in range(5)})
    assert len(figure.axes) == 8
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


def test_reconstructions_stand_beside_their_originals_with_their_errors() -> None:
    images = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)
    errors = np.array([0.01234, 0.5], np.float32)
    half, quarter = np.float32(0.5), np.float32(0.25)
    networks = {"n = 1": (images * half, errors), "n = 2": (images * quarter, errors)}
    figure = reconstructions(images, networks, ["Shirt", "Bag"])
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axes.get_title() for axes in panels[0]] == ["original", "n = 1", "n = 2"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["Shirt", "Bag"]
    assert [axes.get_xlabel() for axes in panels[:, 1]] == ["0.0123", "0.5000"]
    np.testing.assert_array_equal(panels[1, 2].images[0].get_array(), images[1].reshape(2, 2) / 4)


def test_pairs_stand_above_each_other_five_a_row() -> None:
    originals = np.linspace(0, 1, 6 * 4, dtype=np.float32).reshape(6, 4)
    reconstructed = np.array([[2, -1, 0.5, 0]] * 6, np.float32)
    picture = pairs(originals, reconstructed)
    assert picture.shape == (4 * 2 * 3, 5 * 2 * 3)
    small = picture[::3, ::3]
    assert (small.repeat(3, axis=0).repeat(3, axis=1) == picture).all()
    expected = (originals * 255).round().reshape(6, 2, 2)
    for column in range(5):
        np.testing.assert_array_equal(small[:2, 2 * column :][:, :2], expected[column])
        assert small[2:4, 2 * column :][:, :2].tolist() == [[255, 0], [128, 0]]
    np.testing.assert_array_equal(small[4:6, :2], expected[5])
    assert small[6:, :2].tolist() == [[255, 0], [128, 0]]
    assert (small[4:, 2:] == 0).all()
