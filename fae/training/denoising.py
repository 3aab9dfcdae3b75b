"""Denoising (Vincent et al. 2008): a network reconstructs images that it sees with noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fae.models.layers.loss import mean_squared_error
from fae.models.network import Network
from fae.training.learner import Learner


@contextmanager
def noisy_training(learner: Learner, noise: float) -> Iterator[None]:
    """Within the block a learner's network is one that is trained on noisy images.

    Args:
        noise: standard deviation of the noise; 0 for none.
    """
    network = learner.network
    if noise:
        learner.network = Denoising(network, noise)
    try:
        yield
    finally:
        learner.network = network


@runtime_checkable
class OwnLoss(Protocol):
    """A network whose training loss is more than the mean squared error."""

    def error_given(self, inputs: Tensor, images: Tensor) -> Tensor:
        """The training loss where the network sees other inputs than the images, a scalar."""


class Denoising(Network):
    """A network as it is trained on noisy images; in all else it is that network.

    To each pixel of a training image Gaussian noise is added, drawn from torch's global generator,
    which is seeded before each step. The noisy image is not clipped; the target has no noise.

    Args:
        network: the network.
        noise: standard deviation of the noise; pixels are in [0, 1].
    """

    def __init__(self, network: Network, noise: float) -> None:
        super().__init__()
        self.network = network
        self.noise = noise

    def encode(self, images: Tensor) -> Tensor:
        return self.network.encode(images)

    def forward(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.network(images)
        return reconstructions

    def error(self, images: Tensor) -> Tensor:
        noisy = images + self.noise * torch.randn_like(images)
        if isinstance(self.network, OwnLoss):
            return self.network.error_given(noisy, images)
        return mean_squared_error(self.network(noisy), images)

    def residuals(self, images: Tensor) -> Tensor:
        return self.network.residuals(images)
