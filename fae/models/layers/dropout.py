"""Dropout with cheap random numbers: 16 bits per unit instead of one number per unit."""

import torch
from torch import Tensor, nn

from fae.models.config import DROPOUT_STEPS as STEPS


class Dropout(nn.Module):
    """Zeroes elements at random and scales up the others, in training only.

    Like ``nn.Dropout`` it draws from torch's global generator, but four elements share each 64-bit
    number (docs/speed.md). The probability is rounded to a multiple of 1/65536.

    Args:
        probability: probability with which an element is dropped, [0, 1).

    Raises:
        ValueError: the probability is not 0, but would be rounded to 0 or 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.dropped = round(probability * STEPS)
        if probability and not 0 < self.dropped < STEPS:
            raise ValueError(f"probability={probability}: must be 0, or 1/65536 to 65535/65536")

    @property
    def scale(self) -> float:
        """What an element that is kept is multiplied by: 1 / (1 - probability), 1 in evaluation."""
        return STEPS / (STEPS - self.dropped) if self.training else 1.0

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, to the same shape."""
        if not self.training or self.dropped == 0:
            return values
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device)
        bits = words.random_(-(2**63), None).view(torch.int16)[: values.numel()].view(values.shape)
        # The values whose bits exceed a threshold, in a third of the time that a comparison takes.
        threshold = self.dropped - STEPS // 2 - 0.5
        kept = torch.ops.aten.threshold_backward(values, bits.float(), threshold)
        scaled: Tensor = kept.mul_(self.scale).to(values.dtype)
        return scaled

    def extra_repr(self) -> str:
        return f"probability={self.dropped / STEPS}"
