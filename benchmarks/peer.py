"""What every way to train the paper's network has in common, so that they can be compared.

A peer trains for some epochs from its own start and hands back what each epoch took and the
test error that it reached, so that a way that does less work shows. An epoch is a training
pass and an evaluation of all training and all validation images, in evaluation mode.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from fae.cli.compose import compose
from fae.data.images import split_at_random

T = TypeVar("T")
BATCH, LR, DROPOUT = 1000, 0.5, 0.1


@dataclass(frozen=True)
class Measured:
    """What some epochs took, in seconds each, and the test error after them."""

    train_s: list[float]
    epoch_s: list[float]
    test_mse: float | None


class Peer(Protocol):
    """A way to train a network of n hidden units."""

    def run(self, n: int, epochs: int) -> Measured: ...


@dataclass(frozen=True)
class InMemory:
    """All images as float tensors (images, 784) in [0, 1]."""

    train: Tensor
    val: Tensor
    test: Tensor

    @staticmethod
    @cache
    def read() -> "InMemory":
        """Fashion-MNIST, split as by fae."""
        config = compose("local=none").data
        source = config.build()
        images = source.training()
        train, val = split_at_random(images, config.train, config.val, config.split_seed)
        return InMemory(*(part.as_floats().pixels for part in (train, val, source.test())))


def network(n: int) -> nn.Sequential:
    """The paper's network as plain PyTorch has it."""
    return nn.Sequential(nn.Linear(784, n), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(n, 784))


def initial_weights(n: int) -> list[np.ndarray]:
    """What a network of PyTorch's starts from: (784, n), (n,), (n, 784), (784,)."""
    encoder, decoder = (layer for layer in network(n) if isinstance(layer, nn.Linear))
    parameters = (encoder.weight.T, encoder.bias, decoder.weight.T, decoder.bias)
    return [parameter.detach().numpy().copy() for parameter in parameters]


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without what Lightning says at each start."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def timed(
    training_pass: Callable[[], None],
    parts: Iterable[T],
    error: Callable[[T], float],
    test: T,
    epochs: int,
) -> Measured:
    """Time epochs of a training pass and an evaluation of each part."""
    train_s, epoch_s = [], []
    for _ in range(epochs):
        start = time.perf_counter()
        training_pass()
        train_s.append(time.perf_counter() - start)
        for images in parts:
            error(images)
        epoch_s.append(time.perf_counter() - start)
    return Measured(train_s, epoch_s, error(test))
