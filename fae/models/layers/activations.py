"""Activations whose bits do not depend on the number of threads.

PyTorch computes sigmoids in vectors, and the remainder of each thread's share one by one with
another formula. Here a single thread computes all of them, which costs little compared with the
matrix products. PyTorch's other activations do not depend on the number of threads.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fae.runtime.threads import one_thread


class Sigmoid(nn.Module):
    """``nn.Sigmoid``, with first derivatives only."""

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, to the same shape."""
        return _sigmoid(values)


class SiLU(nn.Module):
    """``nn.SiLU``, with first derivatives only."""

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, to the same shape."""
        return values * _sigmoid(values)


def _sigmoid(values: Tensor) -> Tensor:
    if torch.compiler.is_exporting() or not values.is_cpu:
        return values.sigmoid()
    result: Tensor = _Sigmoid.apply(values)
    return result


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        with one_thread():
            result = values.sigmoid()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        derivative: Tensor = torch.ops.aten.sigmoid_backward(gradient, result)
        return derivative
