"""Images of codes that no image has, by a network whose codes are known."""

import numpy as np
import pytest
import torch
from inner import CLASSES, Known, images, run_of
from records import record, training

from fae.analysis.decoding import DRAWN, STEPS, Decoder, interpolations, samples
from fae.cli.compose import compose
from fae.models.network import Network
from fae.runs.build import build_network


def test_between_two_images_lie_images_of_the_codes_between_theirs() -> None:
    pair = images([[0, 100, 200, 250], [255, 0, 1, 2]], [0, 1])
    (found,) = interpolations(run_of(Known(2)), pair, CLASSES)
    assert found.title == "<b>dark</b> to bright"
    np.testing.assert_array_equal(found.ends, pair.as_floats().pixels.numpy())
    shares = np.linspace(0, 1, STEPS)
    assert found.between[:, 0] == pytest.approx(shares)
    assert found.between[:, 1] == pytest.approx((1 - shares) * 100 / 255)
    assert (found.between[:, 2:] == 0).all()
    np.testing.assert_array_equal(found.strip[[0, -1]], found.ends)
    np.testing.assert_array_equal(found.strip[1:-1], found.between)


@pytest.mark.parametrize("classes", [2, 3, 5, 7, 10, 12])
def test_pairs_are_of_different_classes(classes: int) -> None:
    labels = [i % classes for i in range(40)]
    several = images([[label, 0, 0, 0] for label in labels], labels)
    found = interpolations(run_of(Known(2)), several, tuple(map(str, range(classes))))
    assert 3 <= len(found) <= 5
    assert all(first != last for first, last in (each.shows for each in found))


def test_without_classes_pairs_are_of_any_images() -> None:
    found = interpolations(run_of(Known(2)), images([[i] * 4 for i in range(4)], [0] * 4), ("a",))
    assert [each.ends[:, 0].tolist() for each in found] == [
        pytest.approx([0, 2 / 255]),
        pytest.approx([1 / 255, 3 / 255]),
    ]


def test_a_single_image_or_a_network_without_decode_has_none() -> None:
    assert interpolations(run_of(Known(2)), images([[0] * 4], [0]), CLASSES) == []

    class Closed(Network):
        pass

    assert interpolations(run_of(Closed()), images([[0] * 4] * 4, [0, 1] * 2), CLASSES) == []
    assert len(samples(run_of(Closed()))) == 0


def test_only_a_network_whose_codes_have_a_distribution_has_samples() -> None:
    assert samples(run_of(Known(2))).shape == (0, 64)
    run = record(3, 0, 0.04, data="synthetic")
    model = compose("local=none", "model=variational").model
    vars(run)["config"] = training(hidden=3, model=model)
    network = build_network(run.config)
    vars(run)["network"] = network
    assert isinstance(network, Decoder)
    drawn = torch.randn(DRAWN, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network.decode(drawn).numpy()
    np.testing.assert_array_equal(samples(run), expected)
    np.testing.assert_array_equal(samples(run), samples(run))
