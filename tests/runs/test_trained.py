"""The trained network of a stored run."""

from contextlib import nullcontext
from typing import cast

import pytest
import torch
from records import exported, stored, training

from fae.config import TrainingConfig
from fae.models.network import Network
from fae.runs.build import build_network
from fae.runs.trained import count_parameters, trained_network, untrained_network
from fae.tracking.archive import Archive

CONFIG = training(hidden=4)


class Store:
    """An archive that has one file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def model(self, run: object, largest: int) -> bytes:
        assert len(self.content) <= largest
        return self.content

    def reading(self, run: object, what: str) -> nullcontext[None]:
        return nullcontext()


def restored(network: Network, config: TrainingConfig = CONFIG) -> Network:
    return trained_network(cast(Archive, Store(exported(network))), stored(), config)


def test_it_reconstructs_as_the_one_that_was_stored() -> None:
    network, images = build_network(CONFIG).eval(), torch.rand(9, 64)
    found = restored(network)
    assert torch.equal(found(images), network(images))
    assert not found.training


def test_one_whose_outputs_may_overflow_is_refused() -> None:
    network = build_network(CONFIG)
    with torch.no_grad():
        network.get_parameter("encoder.weight").fill_(1e10)
        network.get_parameter("decoder.weight").fill_(1e10)
    with pytest.raises(ValueError, match="outputs may be no numbers"):
        restored(network)


def test_a_configuration_that_tells_of_a_huge_network_takes_no_memory() -> None:
    huge = training(hidden=65_536)
    assert count_parameters(untrained_network(huge)) == 2 * 64 * 65_536 + 65_536 + 64
    with pytest.raises(Exception, match="not as in the network"):
        restored(build_network(CONFIG), huge)
