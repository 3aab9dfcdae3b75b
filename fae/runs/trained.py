"""The trained network of a stored run: its configuration's, with the weights that it stored.

Anyone may have written both. No code of theirs is run, as MLflow and ``torch.export.load`` would.
"""

import torch
from torch import nn

from fae.config import TrainingConfig
from fae.models.network import Network
from fae.runs.build import build_network
from fae.runs.weights import load_weights
from fae.tracking.archive import Archive
from fae.tracking.run import BESIDE_WEIGHTS
from fae.tracking.stored_run import StoredRun

LARGEST = 1e15
"""Size of a pixel at most: the squares of some hundred pixels can be summed in single precision."""


def trained_network(archive: Archive, run: StoredRun, config: TrainingConfig) -> Network:
    """The network of a run with the weights that were tested, in evaluation mode.

    Raises:
        UnreadableError: they are gone or damaged, or not a network of its configuration.
    """
    network = untrained_network(config)
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    with archive.reading(run, "its model"):
        load_weights(network, archive.model(run, weights + BESIDE_WEIGHTS))
        _check_outputs(network.eval(), config.data.pixels)
    return network


def untrained_network(config: TrainingConfig) -> Network:
    """The network of a configuration without values for its weights, so that it takes no memory."""
    with torch.device("meta"):
        return build_network(config)


def count_parameters(network: nn.Module) -> int:
    """Weights and biases of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def _check_outputs(network: Network, pixels: int) -> None:
    """Make sure that a network makes numbers of a black and of a white image.

    Raises:
        ValueError: it does not.
    """
    outputs = network(torch.stack([torch.zeros(pixels), torch.ones(pixels)]))
    if outputs.shape != (2, pixels) or not outputs.abs().max() < LARGEST:
        raise ValueError("its outputs may be no numbers")
