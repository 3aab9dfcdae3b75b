"""How trials get their values and which are pruned: Optuna's samplers and pruners."""

import numpy as np
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import Trial

from fae.tuning.space import Choices, Dimension, SearchConfig

MIN_EPOCHS = 3
"""Epochs before which no trial is pruned."""
REDUCTION_FACTOR = 3
"""The pruner keeps one in this many of the trials that reached the same epoch."""


def pruner(name: str, epochs: int) -> BasePruner:
    """The pruner of a study.

    Args:
        name: as ``search.pruner`` has it.
        epochs: maximum epochs of a trial.
    """
    if name == "successive_halving":
        return SuccessiveHalvingPruner(min_resource=MIN_EPOCHS, reduction_factor=REDUCTION_FACTOR)
    if name == "hyperband":
        return HyperbandPruner(MIN_EPOCHS, epochs, REDUCTION_FACTOR)
    return NopPruner()


def sampler(config: SearchConfig, number: int) -> BaseSampler:
    """The sampler of a trial, seeded by its number; a grid has the same order in all trials."""
    if config.sampler == "grid":
        choices = {dim.key: dim.choices for dim in config.space if isinstance(dim, Choices)}
        return _GridSampler(choices, seed=0)
    kinds = {"tpe": TPESampler, "random": RandomSampler, "gp": GPSampler}
    (seed,) = np.random.SeedSequence(number).generate_state(1)  # similar seeds draw similar values
    chosen: BaseSampler = kinds[config.sampler](seed=int(seed))
    return chosen


class _GridSampler(GridSampler):
    """``GridSampler`` without the end of the study, which works in ``Study.optimize`` only."""

    def after_trial(self, *_: object, **__: object) -> None:
        pass


def suggest(trial: Trial, dimension: Dimension, *, integer: bool) -> None:
    """Have Optuna suggest a trial's value for one key, stored with the trial."""
    if isinstance(dimension, Choices):
        trial.suggest_categorical(dimension.key, dimension.choices)
    elif integer:
        low, high = int(dimension.low), int(dimension.high)
        trial.suggest_int(dimension.key, low, high, log=dimension.log)
    else:
        trial.suggest_float(dimension.key, dimension.low, dimension.high, log=dimension.log)
