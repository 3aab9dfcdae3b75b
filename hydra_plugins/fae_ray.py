"""The launcher for Ray, where Hydra looks for launchers; ``fae.sweeps.ray`` does the work."""

from collections.abc import Sequence
from importlib.util import find_spec

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Runs jobs as tasks of a Ray cluster.

    Args:
        init: options of ``ray.init``, which joins the cluster.
        remote: options of ``ray.remote``, such as the resources of a job.
    """

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self.init, self.remote = init, remote

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        if find_spec("ray") is None:
            from fae.errors import ConfigError

            raise ConfigError("hydra/launcher=ray: needs the package ray; pip install 'fae[ray]'")
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from fae.sweeps.ray import launch

        return launch(self, job_overrides, initial_job_idx)
