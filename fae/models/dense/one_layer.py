"""The training error of one hidden layer of rectified linear units as one function.

Its value and gradients are those of the layers one after the other. As one function they take fewer
passes over memory and fewer calls, which for small networks cost as much as the matrix products.
Hooks of the layers are not called.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fae.models.layers.dropout import Dropout
from fae.models.layers.linear import Linear, matmul_tn, product, sum_rows
from fae.models.layers.loss import mean_square


def relu_reconstruction_error(
    images: Tensor, encoder: Linear, dropout: Dropout, decoder: Linear
) -> Tensor:
    """``mse_loss(decoder(dropout(relu(encoder(images)))), images)``, a scalar, with gradients.

    Under autocast products are computed in bfloat16.

    Args:
        images: (batch, pixels), in single precision on a CPU; they have no gradient.
    """
    parameters = encoder.weight, encoder.bias, decoder.weight, decoder.bias
    error: Tensor = _ReluReconstructionError.apply(images, dropout, *parameters)
    return error


class _ReluReconstructionError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, dropout: Dropout, *parameters: Tensor) -> Tensor:
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else images.dtype
        images, *cast = (tensor.to(dtype) for tensor in (images, *parameters))
        encoder, encoder_bias, decoder, decoder_bias = cast
        codes = dropout(product(images, encoder, encoder_bias).relu_())
        residual = product(codes, decoder, decoder_bias).sub_(images)
        ctx.save_for_backward(images, codes, decoder, residual)
        ctx.kept_scale = dropout.scale
        return mean_square(residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, codes, decoder, residual = ctx.saved_tensors
        scale = gradient * (2 / residual.numel())
        # A code is positive where its unit was neither dropped nor below zero.
        of_units = torch.ops.aten.threshold_backward(product(residual, decoder.T), codes, 0)
        of_units.mul_(scale * ctx.kept_scale)
        return (
            None,
            None,
            matmul_tn(of_units, images).float(),
            sum_rows(of_units, torch.float32),
            matmul_tn(residual, codes).float().mul_(scale),
            sum_rows(residual, torch.float32).mul_(scale),
        )
