"""Linear layers on the fastest matrix products available.

PyTorch computes single-precision products on a CPU with MKL. oneDNN, which PyTorch includes for
compiled models, is 2.1 times as fast on an AMD EPYC, the only processor measured (docs/speed.md).
In other precisions and on other devices the choice is left to PyTorch.
"""

from collections.abc import Callable
from functools import reduce
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

BLOCK = 8192
"""Rows per sum. More rows might be divided among threads, which would change the bits."""


class Linear(nn.Linear):
    """``nn.Linear``, faster in single precision on a CPU, where it has first derivatives only."""

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., inputs) to (..., outputs)."""
        plain = torch.is_autocast_enabled("cpu") or torch.compiler.is_exporting()
        if plain or values.dim() != 2 or not _by_onednn(values):
            return super().forward(values)
        outputs: Tensor = _Linear.apply(values, self.weight, self.bias)
        return outputs


def matmul_nt(
    left: Tensor, right: Tensor, bias: Tensor | None = None, minus: Tensor | None = None
) -> Tensor:
    """``left @ right.T + bias - minus``, all of the same dtype; no gradients.

    Args:
        left: (rows, inner).
        right: (columns, inner).
        bias: (columns,).
        minus: (rows, columns).
    """
    product: Tensor
    if _by_onednn(left):
        product = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    else:
        product = functional.linear(left, right, bias)
    return product if minus is None else product.sub_(minus)


def matmul_tn(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right``, no gradients: (inner, rows) and (inner, columns) to (rows, columns).

    The bits do not depend on the number of threads.
    """
    return _by_blocks(_matmul_tn, left, right)


def sum_rows(values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """``values.sum(0)``, whose bits do not depend on the number of threads; no gradients."""
    return _by_blocks(lambda block: block.sum(0, dtype=dtype), values)


def _by_blocks(product: Callable[..., Tensor], *factors: Tensor) -> Tensor:
    """Compute a product that sums over the rows of its factors, block by block."""
    if len(factors[0]) <= BLOCK:
        return product(*factors)
    blocks = zip(*(factor.split(BLOCK) for factor in factors), strict=True)
    return reduce(Tensor.add_, starmap(product, blocks))


def _matmul_tn(left: Tensor, right: Tensor) -> Tensor:
    if not _by_onednn(left):
        return left.T @ right
    # oneDNN makes the left factor contiguous by a copy: let that be the smaller one.
    if left.shape[1] <= right.shape[1]:
        return matmul_nt(left.T, right.T)
    return matmul_nt(right.T, left.T).T


def _by_onednn(values: Tensor) -> bool:
    single = values.is_cpu and values.dtype == torch.float32
    return single and torch.backends.mkldnn.is_available()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        return matmul_nt(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight = ctx.saved_tensors
        of_values, of_weight, of_bias = ctx.needs_input_grad
        return (
            matmul_nt(gradient, weight.T) if of_values else None,
            matmul_tn(gradient, values) if of_weight else None,
            sum_rows(gradient) if of_bias else None,
        )
