"""Optimizers and learning-rate schedules by their configuration."""

from collections.abc import Iterable

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from fae.config import AdamConfig, SGDConfig


def build_optimizer(
    config: SGDConfig | AdamConfig, parameters: Iterable[Parameter], lr: float
) -> Optimizer:
    """The optimizer that ``config`` names, over ``parameters``, at learning rate ``lr``."""
    if isinstance(config, SGDConfig):
        return SGD(
            parameters,
            lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
    kind = Adam if config.name == "adam" else AdamW
    return kind(
        parameters,
        lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def build_schedule(name: str, optimizer: Optimizer, lr: float, steps: int) -> LRScheduler | None:
    """The schedule ``name`` over ``steps`` optimizer steps; None for a constant rate.

    cosine falls from ``lr`` to 0 (Loshchilov and Hutter 2017, without restarts);
    one_cycle rises from ``lr``/25 to ``lr`` over the first 30 % of the steps and falls
    to near 0 (Smith and Topin 2018), the momentum left alone.
    """
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if name == "one_cycle":
        return OneCycleLR(optimizer, max_lr=lr, total_steps=steps, cycle_momentum=False)
    return None
