"""Linear layers on the fastest matrix products of this processor, see ``fae.models.kernels``."""

from collections.abc import Callable
from functools import reduce
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fae.models import kernels

BLOCK = 8192
"""Rows per sum. More rows might be divided among threads, which would change the bits."""


class Linear(nn.Linear):
    """``nn.Linear``, faster in single precision on a CPU, where it has first derivatives only."""

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., inputs) to (..., outputs)."""
        single = values.is_cpu and values.dtype == torch.float32 and values.dim() == 2
        if not single or torch.is_autocast_enabled("cpu") or torch.compiler.is_exporting():
            return super().forward(values)
        outputs: Tensor = _Linear.apply(values, self.weight, self.bias)
        return outputs


def product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """``left @ right.T + bias``, all of the same dtype; no gradients.

    Args:
        left: (rows, inner), of any strides.
        right: (columns, inner), of any strides.
        bias: (columns,), contiguous.
    """
    if left.is_cpu and left.dtype == torch.float32 and kernels.by_onednn():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
        return product
    return functional.linear(left, right, bias)


def matmul_tn(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right``, no gradients: (inner, rows) and (inner, columns) to (rows, columns).

    By oneDNN's products the bits do not depend on the number of threads.
    """
    return _by_blocks(_transposed_product, left, right)


def sum_rows(values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """``values.sum(0)``, whose bits do not depend on the number of threads; no gradients."""
    return _by_blocks(lambda block: block.sum(0, dtype=dtype), values)


def _by_blocks(function: Callable[..., Tensor], *factors: Tensor) -> Tensor:
    """A function that sums over the rows of its factors, block by block."""
    if len(factors[0]) <= BLOCK:
        return function(*factors)
    blocks = zip(*(factor.split(BLOCK) for factor in factors), strict=True)
    return reduce(Tensor.add_, starmap(function, blocks))


def _transposed_product(left: Tensor, right: Tensor) -> Tensor:
    # oneDNN makes the left factor contiguous by a copy: let that be the smaller one.
    if left.shape[1] <= right.shape[1]:
        return product(left.T, right.T)
    return product(right.T, left.T).T


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        return product(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight = ctx.saved_tensors
        of_values, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.T) if of_values else None,
            matmul_tn(gradient, values) if of_weight else None,
            sum_rows(gradient) if of_bias else None,
        )
