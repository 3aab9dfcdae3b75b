"""The output layer and its error as one, against plain PyTorch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, mse_loss

from fae.models.layers.loss import mean_square, mean_squared_error, reconstruction_error, residuals


def parts(batch: int, hidden: int, pixels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    codes = torch.rand(batch, hidden).requires_grad_()
    weight = (torch.rand(pixels, hidden) - 0.5).requires_grad_()
    bias = torch.rand(pixels).requires_grad_()
    return codes, weight, bias, torch.rand(batch, pixels)


@pytest.mark.parametrize("sizes", [(1000, 64, 784), (7, 3, 5), (1, 1, 1)], ids=str)
def test_error_and_gradients_are_the_plain_ones(sizes: tuple[int, int, int]) -> None:
    """In single precision to 1e-5; the error is scaled, as a caller may do."""
    codes, weight, bias, images = parts(*sizes)
    inputs = (codes, weight, bias)
    ours = reconstruction_error(codes, weight, bias, images)
    theirs = mse_loss(linear(*inputs), images)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7, check_dtype=False)
    for mine, reference in zip(
        torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True
    ):
        assert (mine - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_residuals_are_reconstructions_minus_images() -> None:
    codes, weight, bias, images = parts(9, 4, 6)
    before = images.clone()
    with torch.no_grad():
        found = residuals(codes, weight, bias, images)
        torch.testing.assert_close(found, linear(codes, weight, bias) - images)
    assert torch.equal(images, before)


def test_bfloat16_codes_give_gradients_in_their_own_precisions() -> None:
    codes, weight, bias, images = parts(200, 16, 30)
    inputs = (codes, weight, bias)
    ours = reconstruction_error(codes.bfloat16(), weight, bias, images)
    theirs = mse_loss(linear(*inputs), images)
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0, check_dtype=False)
    grads = torch.autograd.grad(ours, inputs)
    assert [g.dtype for g in grads] == [torch.float32] * 3
    for mine, reference in zip(grads, torch.autograd.grad(theirs, inputs), strict=True):
        assert (mine - reference).norm() < 0.02 * reference.norm()


def test_error_and_gradient_of_any_output_are_the_plain_ones() -> None:
    outputs, images = torch.rand(50, 30, requires_grad=True), torch.rand(50, 30)
    ours, theirs = mean_squared_error(outputs, images), mse_loss(outputs, images)
    torch.testing.assert_close(ours, theirs, check_dtype=False)
    (mine,), (reference,) = (torch.autograd.grad(error, outputs) for error in (ours, theirs))
    torch.testing.assert_close(mine, reference)


def test_the_mean_square() -> None:
    assert mean_square(torch.tensor([[3.0, 4.0], [6.0, 8.0]])).item() == 31.25
    assert mean_square(torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16)).item() == 12.5
    values = torch.randn(40_000, 7, generator=torch.Generator().manual_seed(0))
    exact = values.double().square().mean().item()
    assert mean_square(values).item() == pytest.approx(exact, rel=1e-8)


def test_the_mean_square_has_the_same_bits_in_any_number_of_threads(
    with_threads: Callable[[int], None],
) -> None:
    """More rows than a thread's least, and more pixels."""
    for shape in ((1000, 784), (100_000, 8), (7, 16_384), (1, 100_000)):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        found = set()
        for threads in (1, 2, 3, 5):
            with_threads(threads)
            found.add(mean_square(values).item())
        assert len(found) == 1, shape
