"""The output layer and its mean squared error as one: few passes over the images.

The residual takes the place of the reconstruction; the error and all gradients follow from it.
Written out, the reconstruction, the difference, its square and the gradients of each are as many
arrays of the images' size, and cost as much as a product.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fae.linear import matmul_nt, matmul_tn


def residuals(codes: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """Reconstructions by a linear output layer minus images, (batch, pixels); no gradients.

    Args:
        codes: (batch, hidden), in single precision or bfloat16, as are the residuals.
        weight: (pixels, hidden).
        bias: (pixels,).
        images: (batch, pixels).
    """
    dtype = codes.dtype
    return matmul_nt(codes, weight.to(dtype), bias.to(dtype), minus=images.to(dtype))


def mean_square(values: Tensor) -> Tensor:
    """The mean of the squares of all values, in single precision; a scalar."""
    flat = values.flatten().float()
    return torch.dot(flat, flat) / flat.numel()


def reconstruction_error(codes: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """``mse_loss(linear(codes, weight, bias), images)``, a scalar, and its gradients.

    Arguments as for ``residuals``; the images have no gradient.
    """
    error: Tensor = _ReconstructionError.apply(codes, weight, bias, images)
    return error


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
            matmul_nt(residual, weight.T.to(codes.dtype)).mul_(scale),
            matmul_tn(residual, codes).to(weight.dtype).mul_(scale),
            residual.sum(0, dtype=weight.dtype).mul_(scale),
            None,
        )
