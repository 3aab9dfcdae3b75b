"""Settings of ``hydra/launcher=slurm``; their values are in ``conf/hydra/launcher/slurm.yaml``.

Light at import, as Hydra imports all launchers to find one.
"""

from typing import Annotated

from omegaconf import DictConfig
from pydantic import Field
from pydantic.dataclasses import dataclass

from fae.errors import ConfigError
from fae.runtime.fields import STRICT, Count, Name, Rate

Natural = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]


@dataclass(kw_only=True, config=STRICT)
class SlurmConfig:
    """What each job of a sweep asks Slurm for, and how the jobs are watched.

    Nothing here is a command: what a job needs besides, such as modules, is loaded before
    ``fae train``, as jobs inherit its environment.
    """

    _target_: str = "hydra_plugins.fae_slurm.SlurmLauncher"
    timeout_min: Count
    """Time limit of a job, in minutes; a run that needs longer resumes in the requeued job."""
    signal_delay_s: Count
    """Seconds before the time limit at which a job stops, saves, and is requeued."""
    requeues: Natural
    """How often a job is started again after its time limit, or after its node failed."""
    cpus_per_task: Count
    """CPUs of a job, in which its run computes."""
    mem_gb: Rate
    """Memory of a job, in GB of 1024 MB, as Slurm counts."""
    gpus_per_node: Natural
    """GPUs of a job; a run uses one, with ``trainer.accelerator=gpu``."""
    array_parallelism: Count
    """Jobs of a sweep that Slurm runs at a time, at most."""
    partition: Name | None
    """The cluster's partition; null: its default."""
    account: Name | None
    """Account that is charged; null: the user's default."""
    qos: Name | None
    """Quality of service; null: the cluster's default."""
    constraint: Name | None
    """Features that a node must have; null: any node."""
    poll_s: Rate
    """Seconds between two looks at the queue."""


def checked(launcher: DictConfig) -> SlurmConfig:
    """The settings of the launcher, checked.

    Args:
        launcher: Hydra's section ``hydra.launcher``.

    Raises:
        ConfigError: names every key whose value is wrong or missing.
    """
    from fae.cli.compose import read

    try:
        return read(launcher, SlurmConfig)
    except ConfigError as error:
        raise ConfigError(*(f"hydra.launcher.{problem}" for problem in error.problems)) from None
