"""What a multirun adds to its runs: a plan before the first, a parent run, a report.

Heavy imports wait until the configurations are known to be good.
"""

from collections.abc import Sequence
from dataclasses import replace

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from fae.analysis.champion import check_comparable, register_best
from fae.cli import launchers
from fae.cli.compose import check, compose_jobs, read_all
from fae.cli.overrides import command_line, sweep_name, without
from fae.errors import ConfigError, FaeError, TrainingError, UndeliveredError
from fae.reports.config import DataRoot, ReportConfig
from fae.runs.job import Job
from fae.runs.task import Task, look_up
from fae.runtime.console import say
from fae.sweeps import parent_run
from fae.sweeps.launch import Launch
from fae.sweeps.plan import show
from fae.sweeps.queue_launcher import attach
from fae.sweeps.sweep_run import FailedRunsError, SweepRun
from fae.tracking.archive import Archive
from fae.tracking.store import Store

Overrides = Sequence[str]
NOT_OF_A_JOB = ("seed", "repeats", "report")
"""Keys that hold for the whole sweep, or that each of its jobs gets a value of its own of."""


def sweep(
    base: DictConfig,
    arguments: Overrides,
    jobs: Sequence[Overrides],
    loader: ConfigLoader,
    launcher: Launcher,
) -> None:
    """Plan all runs, launch those that are not done under one parent run, and report.

    Args:
        base: Hydra's configuration of the multirun.
        arguments: the overrides as the user gave them, several values and all.
        jobs: the overrides of each job, before it is repeated over its seeds.

    Raises:
        ConfigError: names every bad value of every job; nothing was launched.
        DataError, StoreError: nothing was launched.
        VerdictError: the report found otherwise than ``report.fail_unless``.
        TrainingError: some runs failed; the others are finished and reported.
        UndeliveredError: all are finished, and the store lacks something of them.
    """
    composed = _compose(base, jobs, loader)
    asked = sum(task.config.repeats for task in composed)
    tracking, settings = composed[0].config.tracking, composed[0].config.sweep
    check_size(asked, settings.max_jobs)
    composed = _prepare(composed, here=launchers.on_this_machine(base))
    store = None if settings.plan_only else Store(tracking)
    archive = Archive.if_there(tracking)
    tasks = attach(look_up(_repeat(composed), archive, settings), launcher, archive)
    launch = Launch(launcher, [task for task in tasks if task.to_run])
    name = sweep_name(arguments)
    show(name, tasks, archive, asked=asked)
    if store is None or archive is None:
        return
    folder, at_once = launchers.make_folder_absolute(base), base.hydra.sweeper.max_batch_size
    job = Job(name, folder, command_line(arguments, "-m"))
    tags = parent_run.tags(tasks, computes=launchers.in_this_process(base))
    run = SweepRun(job, tags, tasks, launch, archive, at_once, _retry(arguments))
    _finish(run, store)


def _finish(run: SweepRun, store: Store) -> None:
    """Run what is left of a sweep, and report, unless jobs were left in the launcher's queue."""
    problems = run.finish(store)
    try:
        if not run.is_left:
            _report(run.tasks, run.parent, run.archive)
            _register(run)
    except FaeError as error:
        problems.append(error)
    _raise([*problems, *map(UndeliveredError, filter(None, run.lacking))])


def _raise(problems: Sequence[FaeError]) -> None:
    """Raise the problems of a sweep as one; that of its runs counts most."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        failed = isinstance(problems[0], FailedRunsError)
        kind = TrainingError if failed else UndeliveredError
        raise kind("\n".join(map(str, problems)))


def planned(overrides: Overrides) -> list[Task]:
    """The runs of ``python -m fae.train -m`` with these overrides, whatever the store has of them.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    return _repeat(compose_jobs("config", overrides, _read))


def check_size(runs: int, limit: int) -> None:
    """Check that a sweep has no more runs than ``sweep.max_jobs``.

    Raises:
        ConfigError: it has.
    """
    if runs > limit:
        raise ConfigError(
            f"sweep.max_jobs={limit}: this sweep has {runs} runs; if you want them all, add "
            f"sweep.max_jobs={runs}"
        )


def _compose(base: DictConfig, jobs: Sequence[Overrides], loader: ConfigLoader) -> list[Task]:
    """The task of each job.

    Raises:
        ConfigError: about all that are wrong.
    """
    if not jobs:
        raise ConfigError("sweep: no runs; a range or a list of values is empty")
    composed = read_all(base, jobs, loader, _read)
    for group in ("tracking", "sweep", "report"):
        if len({getattr(task.config, group) for task in composed}) > 1:
            raise ConfigError(f"{group}: must be the same for all runs of a sweep")
    return composed


def _read(node: DictConfig, overrides: Overrides) -> Task:
    return Task(check(node), overrides, dict(node.hydra.runtime.choices))


def _prepare(tasks: Sequence[Task], *, here: bool) -> list[Task]:
    """The tasks, their ``model.weights`` as whole ids; all that they need was checked.

    That is what ``fae.runs.run.prepare`` checks, once for each that differs.
    """
    from fae.runs.initial_weights import with_full_id
    from fae.runs.run import prepare

    tasks = [replace(task, config=with_full_id(task.config)) for task in tasks]
    different = {
        (c.data, c.trainer, (c.model, c.hidden) if c.model.weights else None): c
        for c in (task.config for task in tasks)
    }
    for config in different.values():
        prepare(config, here=here)
    if name := tasks[0].config.tracking.register:
        check_comparable(name, (task.config for task in tasks))
    return tasks


def _repeat(composed: Sequence[Task]) -> list[Task]:
    """Each configuration once with each of its seeds; of runs that give the same result, one.

    All first seeds go first, then all second ones, so that a sweep that is cut short has
    every configuration, and a machine that slows down slows all of them alike.
    """
    repeated: dict[str, Task] = {}
    shared = set.intersection(*(set(task.overrides) for task in composed))
    for repeat in range(max(task.config.repeats for task in composed)):
        for task in composed:
            if repeat < task.config.repeats:
                config = replace(task.config, seed=task.config.seed + repeat, repeats=1)
                others = without(task.overrides, *NOT_OF_A_JOB)
                overrides = [*others, f"seed={config.seed}", "repeats=1"]
                repeat_of = replace(task, config=config, overrides=overrides, shared=shared)
                repeated.setdefault(repeat_of.fingerprint, repeat_of)
    return list(repeated.values())


def _retry(arguments: Overrides) -> str:
    """The command of a sweep that repeats what failed, and nothing else."""
    kept = without(arguments, "sweep.rerun", "sweep.retry_failed")
    return command_line([*kept, "sweep.retry_failed=true"], "-m")


def _report(tasks: Sequence[Task], parent: str, archive: Archive) -> None:
    """Report the runs that finished, if there are any."""
    from fae.reports.present import report

    if not any(run.status == "FINISHED" for run in archive.runs_of(archive.run(parent))):
        return
    config = tasks[0].config
    roots = {task.config.data.data_root for task in tasks} - {None}
    report(
        ReportConfig(
            sweep=(parent,),
            where=None,
            out=None,
            data=DataRoot(root=roots.pop() if len(roots) == 1 else None),
            tracking=config.tracking,
            report=config.report,
        ),
        failures_follow=True,
    )


def _register(run: SweepRun) -> None:
    """Register the sweep's best network, if a name is given and it is better than the champion."""
    if name := run.tasks[0].config.tracking.register:
        parent = run.archive.run(run.parent)
        verdict = parent.tags.get("fae.verdict", "")
        say(register_best(name, run.archive.runs_of(parent), run.archive, verdict=verdict))
