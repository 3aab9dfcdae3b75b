"""Build what a run trains, the data module and the learner, from its configuration."""

from fae.config import Config, TrainingConfig
from fae.data.datamodule import ImageDataModule
from fae.data.images import DataSet
from fae.models.network import Network
from fae.runtime.seeding import Stream, seed_torch, stream_seed
from fae.training.learner import Learner


def build_network(config: TrainingConfig) -> Network:
    """The network, with random weights."""
    return config.model.build(config.data.pixels, config.hidden, config.dropout)


def build(config: Config, data_set: DataSet) -> tuple[ImageDataModule, Learner]:
    """The data module, and the learner with its network initialised from the seed."""
    data = ImageDataModule(
        data_set,
        config.data,
        batch_size=config.batch_size,
        seed=config.seed,
        limit=config.trainer.limit_batches,
    )
    seed_torch(stream_seed(config.seed, Stream.INITIALISATION))
    network = build_network(config)
    config.model.initialise(network, lambda: data.split[0])
    learner = Learner(
        network,
        config.optimizer,
        lr=config.lr,
        seed=config.seed,
        steps=config.epochs * data.steps_per_epoch,
    )
    return data, learner
