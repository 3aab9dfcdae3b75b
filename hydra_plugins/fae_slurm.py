"""The launcher for Slurm, where Hydra looks for launchers; ``fae.sweeps.slurm`` does the work."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fae.sweeps.slurm.config import SlurmConfig

if TYPE_CHECKING:
    from fae.runs.task import Task
    from fae.tracking.archive import Archive


class SlurmLauncher(Launcher):
    """Submits jobs to Slurm, or attaches to those that it has already, and watches them.

    A ``fae.sweeps.queue_launcher.QueueLauncher``.
    """

    def __init__(self, **_: Any) -> None:  # all is in Hydra's configuration
        self.tag: Callable[[Mapping[str, str]], object] = lambda _: None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def check(self) -> None:
        from fae.sweeps.slurm.config import checked
        from fae.sweeps.slurm.submit import check_submitit

        checked(self.config.hydra.launcher)
        check_submitit()

    def attach(
        self, tasks: "Sequence[Task]", archive: "Archive | None", identity: str
    ) -> "list[Task]":
        from fae.sweeps.slurm.attach import attach

        return attach(tasks, archive, identity)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from fae.sweeps.slurm.launch import launch

        return launch(self, job_overrides, initial_job_idx)


ConfigStore.instance().store(
    group="hydra/launcher", name="base_slurm", node=SlurmConfig, provider="fae"
)
