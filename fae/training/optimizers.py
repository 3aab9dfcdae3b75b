"""Optimizers and learning-rate schedules: their settings, which build them.

Light at import: torch is imported in ``build``. To add an optimizer, write a class of settings
and a line in ``OPTIMIZERS`` here, and its values and search range in ``conf/optimizer/``.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.runtime.catalogue import Catalogue
from fae.runtime.fields import STRICT, Penalty, Rate, Share, Switch

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimizerConfig:
    """Base class of the settings of an optimizer; each optimizer adds its own."""

    name: str
    schedule: Literal["constant", "cosine", "one_cycle"]
    """Learning-rate schedule of a run; one_cycle peaks at ``lr``, the others start there."""

    def build(self, parameters: "Iterable[Parameter]", lr: float) -> "Optimizer":
        """The optimizer for ``parameters`` with learning rate ``lr``."""
        raise NotImplementedError

    def build_schedule(self, optimizer: "Optimizer", lr: float, steps: int) -> "LRScheduler | None":
        """The schedule over ``steps`` optimizer steps; None for a constant rate."""
        return SCHEDULES[self.schedule](optimizer, lr, steps)


def constant(optimizer: "Optimizer", lr: float, steps: int) -> None:
    """The learning rate as it is."""


def cosine(optimizer: "Optimizer", _: float, steps: int) -> "LRScheduler":
    """Falls from ``lr`` to 0 (Loshchilov and Hutter 2017, without restarts)."""
    from torch.optim.lr_scheduler import CosineAnnealingLR

    return CosineAnnealingLR(optimizer, T_max=steps)


def one_cycle(optimizer: "Optimizer", lr: float, steps: int) -> "LRScheduler":
    """Rises from ``lr``/25 to ``lr`` over the first 30 % of the steps, and falls to near 0.

    (Smith and Topin 2018, with constant momentum.)
    """
    from torch.optim.lr_scheduler import OneCycleLR

    return OneCycleLR(optimizer, max_lr=lr, total_steps=steps, cycle_momentum=False)


SCHEDULES: "dict[str, Callable[[Optimizer, float, int], LRScheduler | None]]" = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    momentum: Share
    """Share of the last update that is added to the next."""
    nesterov: Switch
    """Nesterov's momentum; needs ``momentum`` above 0."""
    weight_decay: Penalty
    """L2 penalty, added to the gradient."""

    def build(self, parameters: "Iterable[Parameter]", lr: float) -> "Optimizer":
        from torch.optim import SGD

        return SGD(
            parameters,
            lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SGDConfig":
        if self.nesterov and self.momentum == 0:
            raise ConfigError("optimizer.nesterov=true: needs optimizer.momentum above 0")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdamConfig(OptimizerConfig):
    """Adam, or AdamW: weight decay is added to the gradient, or applied to the weights."""

    name: Literal["adam", "adamw"]
    betas: tuple[Share, Share]
    """Decay rates of the running means of the gradient and of its square."""
    eps: Rate
    """Added to the denominator, so that it is not 0."""
    weight_decay: Penalty
    """adam: L2 penalty, added to the gradient; adamw: times ``lr`` the share of the weights that is
    subtracted from them."""

    def build(self, parameters: "Iterable[Parameter]", lr: float) -> "Optimizer":
        from torch.optim import Adam, AdamW

        return (Adam if self.name == "adam" else AdamW)(
            parameters,
            lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


OPTIMIZERS = Catalogue[OptimizerConfig](
    "optimizer",
    "fae.optimizers",
    {
        "sgd": SGDConfig,
        "adam": AdamConfig,
        "adamw": AdamConfig,
    },
)
