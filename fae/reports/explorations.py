"""What is inside the networks of some settings, and their probes' accuracies in the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fae.analysis.exploration import Exploration, explore, inputs_of, keep
from fae.data.config import DataConfig
from fae.data.images import DataSet
from fae.errors import StoreError
from fae.reports.settings import Setting
from fae.tracking.archive import UnreadableError


def explorations(
    settings: Sequence[Setting],
    titles: Mapping[str, str],
    data_set: DataSet,
    config: DataConfig,
    *,
    most: int,
    cache: Path,
) -> list[Exploration]:
    """What is inside the network of each setting's first seed.

    A network that gives codes that are no numbers, as a file of somebody else's may, is left out.

    Args:
        titles: of the networks, by the settings' titles.
        data_set: of the images, the same for all settings.
        config: its settings.
        most: hidden units of the largest network whose components are cached.
        cache: folder in which they are.
    """
    inputs, found = inputs_of(data_set, config, most, cache), []
    for setting in settings:
        try:
            found.append(explore(setting.runs[0], titles[setting.title], inputs))
        except UnreadableError:
            continue
    return found


def stored(found: Sequence[Exploration]) -> list[str]:
    """Store the probes' accuracies with their runs; what cannot be done, in a sentence."""
    try:
        for each in found:
            keep(each)
    except StoreError as problem:
        return [str(problem)]
    return []
