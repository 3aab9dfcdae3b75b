"""Catalogue of networks. How to add one: ``docs/extending.md``."""

from fae.models.config import ModelConfig
from fae.models.convolutional.config import ConvolutionalConfig
from fae.models.dense.config import AutoEncoderConfig, DeepAutoEncoderConfig
from fae.models.tied.config import TiedConfig
from fae.models.variational.config import VariationalConfig
from fae.runtime.catalogue import Catalogue

NETWORKS = Catalogue[ModelConfig](
    "model",
    "fae.models",
    {
        "autoencoder": AutoEncoderConfig,
        "deep": DeepAutoEncoderConfig,
        "tied": TiedConfig,
        "variational": VariationalConfig,
        "convolutional": ConvolutionalConfig,
    },
)
