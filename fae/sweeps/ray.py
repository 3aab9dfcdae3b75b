"""The jobs of a sweep as tasks of a Ray cluster.

Ray chooses the node of each, and starts a task again whose worker or node died, three times unless
``remote.max_retries`` says otherwise. It knows no other interruption than ``KeyboardInterrupt``:
what else a signal's handler raises while it waits becomes ``SystemExit`` or is lost, so that it
waits here for a second at a time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import ray
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from fae.errors import ConfigError, Interrupted, first_line, without_password
from fae.runtime.signals import allow_signals, defer_signals
from fae.sweeps.job_end import JobEndError

LOOK_S = 1.0
"""How often it looks whether a signal has arrived."""
ENDING_S = 2.0
"""How long jobs may take to close their runs after a signal."""


class RayLauncher(Protocol):
    """``hydra_plugins.fae_ray.RayLauncher``, after Hydra has set it up."""

    init: DictConfig
    remote: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig


def launch(
    launcher: RayLauncher, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run jobs, and wait until all have ended.

    Args:
        first: number of the first job.

    Raises:
        ConfigError: there is no such cluster, or Ray refuses a setting.
        Interrupted: by a signal; the jobs are interrupted as well.
    """
    _join(_plain(launcher.init))
    numbered = enumerate(job_overrides, first)
    configs = [_config(launcher, overrides, number) for number, overrides in numbered]
    context, function = launcher.hydra_context, launcher.task_function
    state = Singleton.get_state()
    with _refusals("remote"):
        run = ray.remote(**_plain(launcher.remote))(_run)
        jobs = [run.remote(context, config, function, state) for config in configs]
    try:
        _wait(jobs)
    except (Interrupted, SystemExit):
        with defer_signals():
            for job in jobs:
                ray.cancel(job)
            ray.wait(jobs, num_returns=len(jobs), timeout=ENDING_S)
        raise
    return [_result(job) for job in jobs]


@contextmanager
def _refusals(setting: str) -> Iterator[None]:
    """Name a setting of the launcher in what Ray says when it refuses it.

    Raises:
        ConfigError: Ray refuses it, or another version of Ray or Python runs on the cluster.
    """
    try:
        yield
    except (ray.exceptions.RayError, RuntimeError, TypeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"hydra.launcher.{setting}: {without_password(told)}") from error


def _join(options: dict[str, Any]) -> None:
    """Join the cluster, unless this process has done so."""
    if ray.is_initialized():
        return
    try:
        with _refusals("init"):
            ray.init(**options)
    except ConnectionError as error:
        raise ConfigError(
            f"hydra.launcher.init.address={options.get('address')}: no Ray cluster there "
            f"({first_line(error)}); start one by ray start --head"
        ) from error


def _config(launcher: RayLauncher, overrides: Sequence[str], number: int) -> DictConfig:
    """The configuration of a job, as Hydra's launchers make it."""
    loader = launcher.hydra_context.config_loader
    config = loader.load_sweep_config(launcher.config, list(overrides))
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
    return config


def _wait(jobs: Sequence[Any]) -> None:
    """Wait until all jobs have ended.

    Raises:
        Interrupted: a signal arrived.
    """
    pending = [*jobs]
    while pending:
        _, pending = ray.wait(pending, num_returns=len(pending), timeout=LOOK_S)
        with allow_signals():
            pass


def _result(job: Any) -> JobReturn:
    """What a job returned, or why it did not, such as because its worker was killed repeatedly."""
    try:
        returned: JobReturn = ray.get(job)
        return returned
    except ray.exceptions.TaskCancelledError:  # a signal reached its worker alone
        end = JobEndError("interrupted; the same command resumes it", is_cancelled=True)
    except ray.exceptions.RayError as error:
        reason = getattr(error, "cause", None) or error  # what the task raised
        end = JobEndError(f"{type(reason).__name__}: {first_line(reason)}", is_death=True)
    return JobReturn(_return_value=end, status=JobStatus.FAILED)


def _run(
    context: HydraContext, config: DictConfig, task_function: TaskFunction, state: Any
) -> JobReturn:
    """Run a job in a worker of Ray's, as Hydra's launchers do.

    Raises:
        KeyboardInterrupt: it was interrupted; of anything else the worker would die.
    """
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    try:
        return run_job(
            hydra_context=context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except Interrupted as interrupted:
        raise KeyboardInterrupt from interrupted


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.create(node), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
