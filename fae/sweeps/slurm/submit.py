"""Submitting jobs to Slurm, by submitit."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fae.errors import ConfigError
from fae.sweeps.slurm.config import SlurmConfig
from fae.sweeps.slurm.job import SlurmJob
from fae.sweeps.slurm.record import LOGS

JOB_NAME = "fae"
"""As ``squeue`` shows it."""


def check_submitit() -> None:
    """Check that jobs can be submitted from here.

    Raises:
        ConfigError: submitit is not installed, or this machine has no Slurm.
    """
    if find_spec("submitit") is None:
        raise ConfigError("hydra/launcher=slurm: needs submitit; pip install 'fae[slurm]'")
    for command in ("sbatch", "squeue", "srun"):
        if shutil.which(command) is None:
            raise ConfigError(
                f"hydra/launcher=slurm: there is no {command} here; run the command on a machine "
                "from which the cluster's jobs are submitted"
            )


def submit(jobs: Sequence[SlurmJob], folder: Path, settings: SlurmConfig) -> list[str]:
    """Submit jobs as one array, or as a job by itself; returns their ids, such as ``8_3``.

    Args:
        folder: of the sweep, on a disk that all nodes share.

    Raises:
        ConfigError: Slurm refuses them.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError
    from submitit.slurm.slurm import SlurmExecutor

    executor = SlurmExecutor(folder / LOGS, max_num_timeout=settings.requeues)
    executor.update_parameters(**_parameters(settings))
    try:
        with _without_job(), executor.batch():
            submitted = [executor.submit(job) for job in jobs]
    except (FailedJobError, FailedSubmissionError) as error:
        said = str(error).strip().splitlines() or ["no reason given"]
        raise ConfigError(f"hydra/launcher=slurm: Slurm refuses the jobs: {said[-1]}") from error
    return [job.job_id for job in submitted]


@contextmanager
def _without_job() -> Iterator[None]:
    """Within the block the environment has nothing of the job that this process may be in.

    submitit's own ``clean_env`` removes ``SLURM_CONF`` as well, without which sbatch may find no
    cluster.
    """
    of_job = [k for k in os.environ if k.startswith(("SLURM_", "SUBMITIT_")) and k != "SLURM_CONF"]
    removed = {key: os.environ.pop(key) for key in of_job}
    try:
        yield
    finally:
        os.environ.update(removed)


def _parameters(settings: SlurmConfig) -> dict[str, object]:
    """The settings by submitit's names."""
    asked = {
        "time": settings.timeout_min,
        "signal_delay_s": settings.signal_delay_s,
        "cpus_per_task": settings.cpus_per_task,
        "mem": f"{round(settings.mem_gb * 1024)}M",
        "gpus_per_node": settings.gpus_per_node or None,
        "array_parallelism": settings.array_parallelism,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
    }
    return {
        "job_name": JOB_NAME,
        **{key: value for key, value in asked.items() if value is not None},
        # Since Slurm 22.05 srun does not take the number of CPUs from the job that it is in.
        "srun_args": ["--cpus-per-task", str(settings.cpus_per_task)],
        "additional_parameters": {"requeue": True},
    }
