"""Starting from the weights of a stored run, the setting ``model.weights``."""

from dataclasses import replace
from functools import cache

from fae.config import Config
from fae.errors import ConfigError, StoreError
from fae.models.network import Network
from fae.runs.stored import TrainedRun
from fae.runs.trained import untrained_network
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig

LINEAGE = "fae.weights"
"""Tag of a run: id of the run whose weights it started from."""


def with_full_id(config: Config) -> Config:
    """The configuration in which ``model.weights`` is the whole id of the run that it names.

    A beginning of the id may name another run once the store has more of them, or two beginnings
    the same run; the id of a run decides what is trained, so that it enters the fingerprint.

    Raises:
        ConfigError: there is not one such run.
        StoreError: the store cannot be read.
    """
    if not config.model.weights:
        return config
    full_id = _full_id(config.model.weights, config.tracking)
    return replace(config, model=replace(config.model, weights=full_id))


@cache
def _full_id(beginning: str, tracking: TrackingConfig) -> str:
    archive = Archive.if_there(tracking)
    if archive is None:
        raise ConfigError(
            f"model.weights={beginning}: no run was stored in tracking.uri={tracking.uri}"
        )
    return TrainedRun.find(beginning, archive, "model.weights").id


def find(config: Config) -> TrainedRun:
    """The run that ``model.weights`` names, whose network is one of the configuration's shapes.

    Raises:
        ConfigError: there is not one such run, it has no network, or one of other shapes.
        StoreError: the store cannot be read.
    """
    named = f"model.weights={config.model.weights}"
    full_id = with_full_id(config).model.weights or ""
    run = TrainedRun.find(full_id, Archive(config.tracking), "model.weights")
    try:
        stored = run.network.state_dict()
    except StoreError as problem:
        raise ConfigError(f"{named}: {problem}") from problem
    wanted = untrained_network(config).state_dict()
    if stored.keys() != wanted.keys():
        raise ConfigError(f"{named}: {run.name} has a network of another kind")
    for name, weight in wanted.items():
        if stored[name].shape != weight.shape:
            here, there = (" x ".join(map(str, w.shape)) for w in (weight, stored[name]))
            raise ConfigError(f"{named}: its {name} is {there}, that of this network {here}")
    return run


def start_from_stored(network: Network, config: Config) -> dict[str, str]:
    """Give a network the weights of the run that ``model.weights`` names; the tags that say so.

    Raises:
        ConfigError, StoreError: as ``find``.
    """
    run = find(config)
    network.load_state_dict(run.network.state_dict())
    return {LINEAGE: run.id}
