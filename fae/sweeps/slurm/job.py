"""A job as it runs on a node of the cluster: pickled by submitit where it is submitted."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from fae.errors import cause
from fae.runtime.console import BAD, errors, say

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission


@dataclass(frozen=True)
class SlurmJob:
    """Runs one job of a multirun, as Hydra's own launchers do.

    It ends with the exit code that the command has if it runs this job alone, which Slurm then
    tells the launcher.

    Attributes:
        context: Hydra's, whose loader knows the job's configuration.
        config: Hydra's configuration of the multirun.
        function: what Hydra calls with the job's configuration.
        singletons: Hydra's state.
        overrides: of the job.
        number: of the job in its sweep.
    """

    context: HydraContext
    config: DictConfig
    function: TaskFunction
    singletons: Mapping[Any, Any]
    overrides: Sequence[str]
    number: int

    def __call__(self) -> JobReturn:
        setup_globals()
        Singleton.set_state(self.singletons)
        node = self.context.config_loader.load_sweep_config(self.config, list(self.overrides))
        with open_dict(node):
            node.hydra.job.num = self.number
            node.hydra.job.id = f"{node.hydra.job.name}_{self.number}"
        HydraConfig.instance().set_config(node)
        done = run_job(
            hydra_context=self.context,
            task_function=self.function,
            config=node,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        if done.status != JobStatus.COMPLETED:
            error = done._return_value
            say(f"fae: {cause(error)}", errors(), style=BAD)
            sys.exit(getattr(error, "exit_code", 1))
        return done

    def checkpoint(self) -> "DelayedSubmission":
        """What submitit runs when the job is requeued: the same, which resumes its run."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)
