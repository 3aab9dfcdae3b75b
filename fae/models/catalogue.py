"""Catalogue of networks. How to add one: ``docs/extending.md``."""

from fae.models.config import ModelConfig
from fae.models.dense.config import AutoEncoderConfig, DeepAutoEncoderConfig
from fae.runtime.catalogue import Catalogue

NETWORKS = Catalogue[ModelConfig](
    "model",
    "fae.models",
    {
        "autoencoder": AutoEncoderConfig,
        "deep": DeepAutoEncoderConfig,
    },
)
