"""Launching jobs on Slurm: submitted or attached to, watched, and told how each of them ended."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Protocol

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from fae.errors import Interrupted, UndeliveredError
from fae.runs.task import Task
from fae.runtime.console import point, say
from fae.runtime.signals import defer_signals
from fae.sweeps.frozen_loader import FrozenLoader
from fae.sweeps.job_end import JobEndError
from fae.sweeps.slurm import record
from fae.sweeps.slurm.attach import JOBS, RECORDED
from fae.sweeps.slurm.config import SlurmConfig, checked
from fae.sweeps.slurm.job import SlurmJob
from fae.sweeps.slurm.queue import CANCELLED, COMPLETED, CUT_SHORT, GONE, OUT_OF_MEMORY, JobState
from fae.sweeps.slurm.record import LOGS, Submitted
from fae.sweeps.slurm.submit import submit
from fae.sweeps.slurm.watch import Watch, tail

OF_SLURM = re.compile(r"(srun|slurmstepd[^:]*|submitit \w+ \(.*\) -.*):? ")
"""The beginning of a line in a job's log that Slurm or submitit wrote."""
NO_MEMORY = re.compile(r"exceeded (?:job )?memory limit|oom[-_ ]kill", re.IGNORECASE)
"""In the log of a job that ``slurmstepd`` killed for its memory, whatever its state."""


class SlurmLauncher(Protocol):
    """What the launcher has from Hydra, and where it puts tags of the sweep's run."""

    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction
    tag: Callable[[Mapping[str, str]], object]


def launch(launcher: SlurmLauncher, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Submit jobs, except those that Slurm has already, and watch all until they have ended.

    With ``sweep.detach`` nothing is watched: each job's status is UNKNOWN.

    Args:
        jobs: the overrides of each.
        first: number of the first.

    Raises:
        ConfigError: Slurm refuses the jobs.
        Interrupted: by a signal; the jobs stay as they are.
    """
    config, known = launcher.config, _known(launcher)
    settings = checked(config.hydra.launcher)
    folder = Path(config.hydra.sweep.dir).absolute()
    tasks = [known.get(tuple(overrides)) for overrides in jobs]
    with defer_signals():  # or a job that was submitted would be known to nobody
        submitted = _submitted(launcher, jobs, tasks, folder, first, settings)
        record.add(folder, [_attached(task) for task in known.values() if task.job])
        record.add(folder, submitted)
        launcher.tag({JOBS: " ".join(_arrays(record.read(folder))), RECORDED: str(folder)})
    point("logs", folder / LOGS)
    if OmegaConf.select(config, "sweep.detach"):
        say(f"jobs left to Slurm: {len(jobs)}; {_how_to_go_on(submitted, config)}")
        return [JobReturn(status=JobStatus.UNKNOWN) for _ in jobs]
    names = _names(jobs, tasks)
    watch = Watch(submitted, names, poll_s=settings.poll_s, requeues=settings.requeues)
    try:
        ends = watch.until_end()
    except Interrupted:
        stay = [job for job in submitted if job.job in watch.remaining()]
        say(f"jobs that stay with Slurm: {len(stay)}; {_how_to_go_on(stay, config)}")
        raise
    finally:
        record.note_ends(folder, {job: end.name for job, end in watch.ends.items()})
    return [
        _return(job, ends[job.job], has_task=task is not None)
        for job, task in zip(submitted, tasks, strict=True)
    ]


def _known(launcher: SlurmLauncher) -> Mapping[tuple[str, ...], Task]:
    """The tasks of a sweep by the overrides of their jobs; none of another command's."""
    loader = launcher.hydra_context.config_loader
    return loader.tasks if isinstance(loader, FrozenLoader) else {}


def _names(jobs: Sequence[Sequence[str]], tasks: Sequence[Task | None]) -> list[str]:
    """What varies from job to job."""
    return [
        task.name if task else " ".join(filter_overrides(overrides))
        for task, overrides in zip(tasks, jobs, strict=True)
    ]


def _submitted(
    launcher: SlurmLauncher,
    jobs: Sequence[Sequence[str]],
    tasks: Sequence[Task | None],
    folder: Path,
    first: int,
    settings: SlurmConfig,
) -> list[Submitted]:
    """The job of each task: the one that Slurm has already, or one that is submitted now."""
    new = [number for number, task in enumerate(tasks) if not (task and task.job)]
    config = deepcopy(launcher.config)
    with open_dict(config):
        config.hydra.sweep.dir = str(folder)
    prepared = []
    for number in new:
        task, context = tasks[number], launcher.hydra_context
        if task:  # or each would carry the configurations of all
            context = HydraContext(FrozenLoader([task]), context.callbacks)  # type: ignore[arg-type]
        prepared.append(
            SlurmJob(
                context,
                config,
                launcher.task_function,
                Singleton.get_state(),
                list(jobs[number]),
                first + number,
            )
        )
    ids = dict(zip(new, submit(prepared, folder, settings) if prepared else [], strict=True))
    return [
        Submitted(ids[number], task.fingerprint if task else "", str(folder))
        if number in ids
        else _attached(task)
        for number, task in enumerate(tasks)
    ]


def _attached(task: Task | None) -> Submitted:
    """The job that Slurm has already for a task."""
    assert task
    assert task.job
    end = CANCELLED if task.job.state == CANCELLED.lower() else ""
    return Submitted(task.job.id, task.fingerprint, task.job.folder, end)


def _arrays(jobs: Sequence[Submitted]) -> list[str]:
    """Ids of jobs, those of an array under the one that they share."""
    return [*dict.fromkeys(job.job.partition("_")[0] for job in jobs)]


def _how_to_go_on(jobs: Sequence[Submitted], config: DictConfig) -> str:
    ended = f"scancel {' '.join(_arrays(jobs))} ends them"
    again = f"the same command watches them again, {ended}"
    return ended if OmegaConf.select(config, "sweep.rerun") else again


def _return(job: Submitted, end: JobState, *, has_task: bool) -> JobReturn:
    """The result of a job that has ended, in the form that Hydra expects."""
    if end.name == COMPLETED:
        return JobReturn(status=JobStatus.COMPLETED) if has_task else _returned(job)
    failed = JobReturn(status=JobStatus.FAILED)
    if end.exit_code == UndeliveredError.exit_code:
        failed.return_value = UndeliveredError(f"{_last_line(job)} ({_place(job)})")
    else:
        failed.return_value = _problem(job, end)
    return failed


def _returned(job: Submitted) -> JobReturn:
    """What a job returned that this command has submitted, and nobody else can have written."""
    from submitit import SlurmJob as Job

    returned: JobReturn = Job(Path(job.folder, LOGS), job.job).result()
    return returned


def _problem(job: Submitted, end: JobState) -> JobEndError:
    """How a job ended that did not complete."""
    is_cancelled, is_death = end.name == CANCELLED, False
    if is_cancelled:
        cause = "cancelled"
    elif end.name == OUT_OF_MEMORY or NO_MEMORY.search(tail(job.log("err"))):
        limit, is_death = f" of {end.memory}" if end.memory else "", True
        cause = f"out of memory: the job's limit{limit} is hydra.launcher.mem_gb"
    elif end.name in CUT_SHORT:
        reason = end.name.lower().replace("_", " ")
        cause = f"{reason}, after {end.requeues} requeues"
    elif end == GONE:
        cause = "Slurm has forgotten the job"
    else:
        cause, is_death = _last_line(job), end.exit_code < 0 or end.exit_code > 128
    return JobEndError(
        f"{cause} ({_place(job)})", job.job, is_cancelled=is_cancelled, is_death=is_death
    )


def _last_line(job: Submitted) -> str:
    """The last line that the job itself wrote to its standard error; else of Slurm."""
    lines = [line.strip() for line in tail(job.log("err")).splitlines() if line.strip()]
    own = [line for line in lines if not OF_SLURM.match(line)]
    return ([*own] or lines or ["it wrote nothing to its log"])[-1]


def _place(job: Submitted) -> str:
    return f"Slurm job {job.job}, {job.log('err')}"
