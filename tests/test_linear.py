"""Linear layers and their products, against plain PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from fae.linear import Linear, times_transposed, transposed_times

SIZES = [(1000, 784, 64), (1000, 64, 784), (7, 3, 5), (1, 1, 1)]


def layers(inputs: int, outputs: int) -> tuple[Linear, nn.Linear]:
    """Two layers with the same weights: ours, and PyTorch's."""
    torch.manual_seed(0)
    ours, theirs = Linear(inputs, outputs), nn.Linear(inputs, outputs)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_outputs_and_gradients_are_the_plain_ones(sizes: tuple[int, int, int]) -> None:
    batch, inputs, outputs = sizes
    ours, theirs = layers(inputs, outputs)
    mine, reference = (torch.rand(batch, inputs).requires_grad_() for _ in range(2))
    reference.data.copy_(mine.data)
    towards = torch.rand(batch, outputs)
    for layer, values in ((ours, mine), (theirs, reference)):
        (layer(values) * towards).mean().backward()
    torch.testing.assert_close(ours(mine), theirs(reference), rtol=1e-5, atol=1e-5)
    assert mine.grad is not None
    torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-5, atol=1e-7)
    for name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-7)


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
def test_products_of_every_precision(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    left, right, bias = (torch.rand(*size).to(kind) for size in ((50, 30), (20, 30), (20,)))
    minus, factor = torch.rand(50, 20).to(kind), torch.rand(50, 40).to(kind)
    rtol, atol = (2**-6, 0.1) if kind == torch.bfloat16 else (1e-5, 1e-5)
    for found, expected in (
        (times_transposed(left, right), left @ right.T),
        (times_transposed(left, right, bias), linear(left, right, bias)),
        (times_transposed(left, right, bias, minus), linear(left, right, bias) - minus),
        (transposed_times(left, factor), left.T @ factor),
        (transposed_times(factor, left), factor.T @ left),
    ):
        assert found.dtype == kind
        torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


def test_products_leave_their_arguments_alone() -> None:
    torch.manual_seed(0)
    arguments = [torch.rand(*size) for size in ((5, 3), (4, 3), (4,), (5, 4))]
    before = [argument.clone() for argument in arguments]
    times_transposed(*arguments)
    transposed_times(arguments[0], arguments[3])
    for argument, was in zip(arguments, before, strict=True):
        assert torch.equal(argument, was)
