"""The linear output layer fused with its mean squared error, to save passes over memory.

The residual is computed in place of the reconstruction; the error and all gradients follow from
it. Unfused, the reconstruction, the difference, its square and their gradients each take an array
of the images' size, which costs as much time as a matrix product.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fae.models.layers.linear import matmul_tn, product, sum_rows


def residuals(codes: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """Reconstructions of a linear output layer minus images, (batch, pixels); no gradients.

    Args:
        codes: (batch, hidden), in single precision or bfloat16; the residuals have the same dtype.
        weight: (pixels, hidden).
        bias: (pixels,).
        images: (batch, pixels).
    """
    dtype = codes.dtype
    return product(codes, weight.to(dtype), bias.to(dtype)).sub_(images.to(dtype))


def mean_square(residuals: Tensor) -> Tensor:
    """Mean of the squared residuals (batch, pixels), a scalar in double precision.

    The bits do not depend on the number of threads, unlike those of ``dot`` and ``sum``: each
    thread gets whole rows. ``vector_norm`` is as fast as ``dot``, and the squared norms of the rows
    are so few that adding them in double precision, sequentially by ``cumsum``, costs nothing.
    """
    rows = torch.linalg.vector_norm(residuals.float(), dim=1)
    squares = rows.double().square_()
    # On a GPU it is cumsum whose bits vary, from one computation to the next.
    total: Tensor = squares.cumsum(0)[-1] if squares.is_cpu else squares.sum()
    return total / residuals.numel()


def mean_squared_error(outputs: Tensor, images: Tensor) -> Tensor:
    """``mse_loss(outputs, images)``, computed by ``mean_square``; the images have no gradient."""
    error: Tensor = _MeanSquaredError.apply(outputs, images)
    return error


def reconstruction_error(codes: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """``mse_loss(linear(codes, weight, bias), images)``, a scalar, with gradients.

    Arguments as for ``residuals``; the images have no gradient.
    """
    error: Tensor = _ReconstructionError.apply(codes, weight, bias, images)
    return error


class _MeanSquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outputs: Tensor, images: Tensor) -> Tensor:
        residual = outputs - images
        ctx.save_for_backward(residual)
        return mean_square(residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (residual,) = ctx.saved_tensors
        return residual * (gradient * (2 / residual.numel())), None


class _ReconstructionError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
        residual = residuals(codes, weight, bias, images)
        ctx.save_for_backward(codes, weight, residual)
        return mean_square(residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        codes, weight, residual = ctx.saved_tensors
        scale = gradient * (2 / residual.numel())
        return (
            product(residual, weight.T.to(codes.dtype)).mul_(scale),
            matmul_tn(residual, codes).to(weight.dtype).mul_(scale),
            sum_rows(residual, weight.dtype).mul_(scale),
            None,
        )
