"""The auto-encoder against its formula."""

from typing import Any

import pytest
import torch
from torch.nn.functional import mse_loss

from fae.models import kernels
from fae.models.dense.network import ACTIVATIONS, AutoEncoder


def test_it_computes_what_the_paper_describes() -> None:
    network = AutoEncoder(6, 3).eval()
    images = torch.rand(5, 6)
    encoder, decoder = network.encoder, network.decoder
    codes = (images @ encoder.weight.T + encoder.bias).clamp(min=0)
    torch.testing.assert_close(network.encode(images), codes)
    torch.testing.assert_close(network(images), codes @ decoder.weight.T + decoder.bias)
    assert network(images).shape == (5, 6)


def test_a_deep_one_has_layers_before_the_code_and_their_mirror_images_after_it() -> None:
    network = AutoEncoder(6, 2, widths=[5, 4], inner_activation="tanh").eval()
    images = torch.rand(7, 6)
    first, _, second, _ = network.before
    codes = torch.relu(network.encoder(torch.tanh(second(torch.tanh(first(images))))))
    torch.testing.assert_close(network.encode(images), codes)
    third, _, fourth, _ = network.after
    last = torch.tanh(fourth(torch.tanh(third(codes))))
    torch.testing.assert_close(network(images), network.decoder(last))
    shapes = [tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")]
    assert shapes == [(5, 6), (4, 5), (2, 4), (4, 2), (5, 4), (6, 5)]


@pytest.mark.parametrize("output", ["identity", "clamp"])
def test_the_error_of_a_deep_one_is_that_of_its_reconstructions(output: str) -> None:
    network = AutoEncoder(6, 2, widths=[5], output_activation=output).eval()
    images = torch.rand(7, 6)
    expected = (network(images) - images).square().mean()
    torch.testing.assert_close(network.error(images), expected, check_dtype=False)
    torch.testing.assert_close(network.residuals(images), network(images) - images)


@pytest.mark.parametrize("hidden", [3, 900])
@pytest.mark.parametrize("library", kernels.LIBRARIES)
def test_the_error_of_a_relu_layer_has_the_gradients_of_its_layers(
    hidden: int, library: str
) -> None:
    """With dropout, to 1e-5; the error is scaled, as a caller may do."""
    torch.manual_seed(0)
    network, images = AutoEncoder(784, hidden, dropout=0.3), torch.rand(100, 784)
    for training in (True, False):
        network.train(training)
        with kernels.using(library):
            torch.manual_seed(1)
            error = network.error(images)
            torch.manual_seed(1)
            plain = mse_loss(network(images), images)
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(3 * error, parameters)
            references = torch.autograd.grad(3 * plain, parameters)
        assert error.grad_fn is not None
        assert error.grad_fn.name() == "_ReluReconstructionErrorBackward"
        torch.testing.assert_close(error, plain, rtol=1e-5, atol=1e-7, check_dtype=False)
        for mine, reference in zip(gradients, references, strict=True):
            assert (mine - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_the_error_of_a_relu_layer_in_bfloat16_has_gradients_in_single_precision() -> None:
    torch.manual_seed(0)
    network, images = AutoEncoder(30, 16, dropout=0.3), torch.rand(200, 30)
    parameters = list(network.parameters())
    torch.manual_seed(1)
    plain = mse_loss(network(images), images)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        error = network.error(images)
    assert error.grad_fn is not None
    assert error.grad_fn.name() == "_ReluReconstructionErrorBackward"
    torch.testing.assert_close(error, plain, rtol=0.02, atol=0, check_dtype=False)
    references = torch.autograd.grad(plain, parameters)
    for mine, reference in zip(torch.autograd.grad(error, parameters), references, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - reference).norm() < 0.02 * reference.norm()


def test_a_network_that_encodes_otherwise_is_trained_as_it_encodes() -> None:
    class Halved(AutoEncoder):
        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return super().encode(images) / 2

    network, images = Halved(6, 3), torch.rand(5, 6)
    plain = mse_loss(network(images), images)
    torch.testing.assert_close(network.error(images), plain, check_dtype=False)


@pytest.mark.parametrize(
    "other",
    [{"hidden_activation": "gelu"}, {"widths": [5]}, {"output_activation": "clamp"}],
    ids=str,
)
def test_the_error_of_any_other_network_goes_layer_by_layer(other: dict[str, Any]) -> None:
    error = AutoEncoder(6, 3, **other).error(torch.rand(5, 6))
    assert error.grad_fn is not None
    assert error.grad_fn.name() != "_ReluReconstructionErrorBackward"


def test_dropout_acts_on_the_codes_and_in_training_only() -> None:
    network = AutoEncoder(6, 1000, dropout=0.25)
    images = torch.rand(1, 6)
    torch.manual_seed(0)
    dropped = network.dropout(torch.ones(1, 100_000))
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert dropped.max() == pytest.approx(1 / 0.75)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_follow_their_formulas(name: str) -> None:
    network = AutoEncoder(6, 3, hidden_activation=name, output_activation=name)
    values = torch.linspace(-2, 2, 9)
    reference = {
        "relu": values.clamp(min=0),
        "gelu": values * 0.5 * (1 + torch.erf(values / 2**0.5)),
        "silu": values / (1 + torch.exp(-values)),
        "tanh": torch.tanh(values),
        "sigmoid": 1 / (1 + torch.exp(-values)),
        "clamp": values.clamp(0, 1),
        "identity": values,
    }
    torch.testing.assert_close(network.hidden_activation(values), reference[name])
    torch.testing.assert_close(network.output_activation(values), reference[name])


def test_weights_that_pass_the_image_through_give_error_0() -> None:
    network = AutoEncoder(4, 4, hidden_activation="identity").eval()
    with torch.no_grad():
        for layer in (network.encoder, network.decoder):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    images = torch.rand(3, 4)
    assert torch.equal(network(images), images)
