"""The configurations of a sweep's jobs, as they were planned."""

from collections.abc import Sequence
from copy import deepcopy

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from fae.cli.overrides import parse
from fae.runs.task import Task


class FrozenLoader:
    """Hands launchers the planned configurations, even if files in conf/ have changed since.

    Args:
        tasks: the planned ones; a job is known by its overrides.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = {tuple(task.overrides): task for task in tasks}

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> DictConfig:
        """A job's values with Hydra's section of the sweep, as Hydra's own loader returns."""
        task = self.tasks[tuple(sweep_overrides)]
        node = deepcopy(master_config)
        naming = node.hydra.job.config.override_dirname
        with open_dict(node):
            for key in [key for key in node if key != "hydra"]:
                del node[key]
            node.update(task.config.plain())
            node.hydra.mode = RunMode.RUN
            node.hydra.overrides.task = list(sweep_overrides)
            node.hydra.runtime.choices = dict(task.choices)
            node.hydra.job.override_dirname = get_overrides_dirname(
                [parse(override) for override in sweep_overrides],
                naming.exclude_keys,
                naming.item_sep,
                naming.kv_sep,
            )
        return node
