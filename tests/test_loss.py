"""The output layer and its error as one, against plain PyTorch."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, mse_loss

from fae.loss import mean_square, reconstruction_error, residuals


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
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
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
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0)
    grads = torch.autograd.grad(ours, inputs)
    assert [g.dtype for g in grads] == [torch.float32] * 3
    for mine, reference in zip(grads, torch.autograd.grad(theirs, inputs), strict=True):
        assert (mine - reference).norm() < 0.02 * reference.norm()


def test_the_mean_square() -> None:
    assert mean_square(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).item() == 7.5
    assert mean_square(torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)).dtype == torch.float32
