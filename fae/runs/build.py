"""From a configuration to what is trained: the data and the learner."""

from collections.abc import Callable
from functools import partial

from fae.config import Config, DeepAutoEncoderConfig, TrainingConfig
from fae.data.datamodule import ImageDataModule
from fae.data.dataset import Source, split_at_random
from fae.models.dense.initialisation import start_as_pca
from fae.models.dense.network import AutoEncoder
from fae.runtime.seeding import Stream, seed_torch
from fae.training.learner import Learner


def build_network(config: TrainingConfig) -> AutoEncoder:
    """The network, its weights drawn by torch."""
    make: Callable[..., AutoEncoder] = AutoEncoder
    if isinstance(config.model, DeepAutoEncoderConfig):
        inner = config.model.inner_activation
        make = partial(AutoEncoder, widths=config.model.widths, inner_activation=inner)
    return make(
        config.data.pixels,
        config.hidden,
        dropout=config.dropout,
        hidden_activation=config.model.hidden_activation,
        output_activation=config.model.output_activation,
    )


def build(config: Config, source: Source) -> tuple[ImageDataModule, Learner]:
    """The data module and the learner, its network initialised from the seed."""
    data = ImageDataModule(
        source,
        train=config.data.train,
        val=config.data.val,
        split_seed=config.data.split_seed,
        batch_size=config.batch_size,
        seed=config.seed,
        limit=config.trainer.limit_batches,
    )
    seed_torch(config.seed, Stream.INITIALISATION)
    network = build_network(config)
    if config.model.initialisation == "pca":
        training, _ = split_at_random(
            source.training(), config.data.train, config.data.val, config.data.split_seed
        )
        start_as_pca(network, training)
    learner = Learner(
        network,
        config.optimizer,
        lr=config.lr,
        seed=config.seed,
        steps=config.epochs * data.steps_per_epoch,
    )
    return data, learner
