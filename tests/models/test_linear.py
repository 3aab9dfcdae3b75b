"""Linear layers, against plain PyTorch."""

import pytest
import torch
from torch import nn

from fae.models.layers.linear import Linear, matmul_tn

SIZES = [(1000, 784, 64), (1000, 64, 784), (7, 3, 5), (1, 1, 1)]


def layers(inputs: int, outputs: int) -> tuple[Linear, nn.Linear]:
    """Two layers with the same weights: ours, and PyTorch's."""
    torch.manual_seed(0)
    ours, theirs = Linear(inputs, outputs), nn.Linear(inputs, outputs)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def assert_equal_to_1e_5(found: torch.Tensor | None, expected: torch.Tensor | None) -> None:
    """By the largest value, since small ones are differences of large ones."""
    assert found is not None
    assert expected is not None
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_outputs_and_gradients_are_the_plain_ones(sizes: tuple[int, int, int]) -> None:
    """To 1e-5, as both round in single precision."""
    batch, inputs, outputs = sizes
    ours, theirs = layers(inputs, outputs)
    mine, reference = (torch.rand(batch, inputs).requires_grad_() for _ in range(2))
    reference.data.copy_(mine.data)
    towards = torch.rand(batch, outputs)
    for layer, values in ((ours, mine), (theirs, reference)):
        (layer(values) * towards).sum().backward()
    assert_equal_to_1e_5(ours(mine), theirs(reference))
    assert_equal_to_1e_5(mine.grad, reference.grad)
    for name, parameter in ours.named_parameters():
        assert_equal_to_1e_5(parameter.grad, theirs.get_parameter(name).grad)


@pytest.mark.parametrize(("inputs", "outputs"), [(30, 60), (60, 30)])
def test_a_gradient_that_is_one_number_everywhere_will_do(inputs: int, outputs: int) -> None:
    """Autograd hands on the gradient of a sum as a single number with strides of 0."""
    ours, theirs = layers(inputs, outputs)
    values = torch.rand(9, inputs)
    for layer in (ours, theirs):
        layer(values).sum().backward()
    assert_equal_to_1e_5(ours.weight.grad, theirs.weight.grad)


def test_other_shapes_no_bias_and_frozen_weights_are_the_plain_layers_too() -> None:
    torch.manual_seed(0)
    ours, theirs = layers(30, 20)
    assert torch.equal(ours(torch.ones(2, 9, 30)), theirs(torch.ones(2, 9, 30)))
    assert torch.equal(ours(torch.ones(30)), theirs(torch.ones(30)))
    frozen = Linear(30, 20, bias=False)
    frozen.weight.requires_grad_(False)
    values = torch.rand(9, 30).requires_grad_()
    frozen(values).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, frozen.weight.sum(0).expand(9, 30))


def test_under_autocast_it_is_the_plain_layer_bit_for_bit() -> None:
    ours, theirs = layers(30, 20)
    values = torch.rand(9, 30)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(values), theirs(values))
        assert ours(values).dtype == torch.bfloat16


def test_an_exported_layer_has_nothing_but_pytorchs_own_operations() -> None:
    """So that a logged model runs on machines that have no oneDNN."""
    layer, _ = layers(30, 20)
    program = torch.export.export(layer.eval(), (torch.rand(9, 30),))
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called == ["aten.linear.default"]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_transposed_products_of_every_precision(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    left, right = torch.rand(50, 30).to(kind), torch.rand(50, 40).to(kind)
    rtol, atol = (2**-6, 0.1) if kind == torch.bfloat16 else (1e-5, 1e-5)
    before = left.clone(), right.clone()
    for one, other in ((left, right), (right, left)):
        found = matmul_tn(one, other)
        assert found.dtype == kind
        torch.testing.assert_close(found, one.T @ other, rtol=rtol, atol=atol)
    assert torch.equal(left, before[0])
    assert torch.equal(right, before[1])
