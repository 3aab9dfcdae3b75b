"""A network that starts where PCA ends."""

from collections.abc import Callable

import pytest
import torch
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.config import Config
from fae.data.images import Images
from fae.data.pca import principal_components
from fae.errors import ConfigError
from fae.models.dense.initialisation import initialise_as_pca
from fae.models.dense.network import AutoEncoder
from fae.runs.build import build

Tiny = Callable[..., Config]


@pytest.fixture
def images() -> Images:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (300, 9), generator=draw, dtype=torch.uint8)
    return Images(pixels, torch.zeros(300, dtype=torch.int64))


def test_components_are_numpys(images: Images) -> None:
    """The eigenvectors of the covariance, the greatest variance first; signs are free."""
    mean, components = principal_components(images)
    values = images.pixels.double() / 255
    torch.testing.assert_close(mean, values.mean(0))
    _, variances, ours = torch.linalg.svd(values - values.mean(0), full_matrices=False)
    assert (variances.diff() < 0).all()
    torch.testing.assert_close(components.abs(), ours.T.abs())


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_it_reconstructs_as_pca_does(images: Images, activation: str) -> None:
    network = AutoEncoder(9, 4, hidden_activation=activation).eval()
    initialise_as_pca(network, images)
    mean, components = principal_components(images)
    values = images.pixels.double() / 255
    projected = (values - mean) @ components[:, :4] @ components[:, :4].T + mean
    torch.testing.assert_close(network(values.float()), projected.float(), rtol=0, atol=1e-5)


def test_all_units_are_alive_for_all_images(images: Images) -> None:
    network = AutoEncoder(9, 4).eval()
    initialise_as_pca(network, images)
    codes = network.encode(images.pixels / 255)
    assert (codes > -1e-6).all()
    torch.testing.assert_close(codes.amin(0), torch.zeros(4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_a_bend_lies_one_standard_deviation_below_the_mean(images: Images, activation: str) -> None:
    network = AutoEncoder(9, 4, hidden_activation=activation).eval()
    initialise_as_pca(network, images)
    mean, components = principal_components(images)
    values = images.pixels.double() / 255
    codes = network.encoder(values.float()).double()
    torch.testing.assert_close(codes.mean(0), codes.std(0, correction=0), rtol=1e-4, atol=1e-4)
    straight = (codes - codes.mean(0)) @ components[:, :4].T + mean
    projected = (values - mean) @ components[:, :4] @ components[:, :4].T + mean
    torch.testing.assert_close(straight, projected, rtol=0, atol=1e-5)
    assert network.decoder(codes.float()).double().sub(projected).abs().max() < 1e-5


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_run_starts_with_the_error_of_pca(tiny: Tiny, activation: str) -> None:
    """On the images that it is trained on."""
    config = tiny("hidden=6", "model.initialisation=pca", f"model.hidden_activation={activation}")
    data_set = config.data.build()
    data, learner = build(config, data_set)
    data.setup("fit")
    values = data.train.pixels / 255
    error = (learner.network.eval()(values) - values).square().mean()
    mean, components = principal_components(data.train)
    exact = values.double() - mean
    unexplained = exact - exact @ components[:, :6] @ components[:, :6].T
    assert error.item() == pytest.approx(unexplained.square().mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.hidden_activation=tanh"], "as model.hidden_activation, not tanh"),
        (
            ["model.output_activation=sigmoid"],
            "needs one of clamp, identity as model.output",
        ),
        (["hidden=65"], "hidden=65 must be at most the 64 pixels of an image"),
    ],
)
def test_impossible_pca_initialisations_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(NO_LOCAL, "experiment=smoke", "hidden=8", "model.initialisation=pca", *overrides)
