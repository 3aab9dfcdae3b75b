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
from fae.errors import ConfigError, FaeError, TrainingError, UndeliveredError, VerdictError
from fae.reports.config import DataRoot, ReportConfig
from fae.runs.job import Job
from fae.runs.task import Task, look_up
from fae.runtime.console import say
from fae.sweeps import parent_run
from fae.sweeps.launch import Launch
from fae.sweeps.plan import show
from fae.sweeps.queue_launcher import attach
from fae.sweeps.seeds import Repeats, Seeds, check_seeds, most_runs
from fae.sweeps.sweep_run import FailedRunsError, SweepRun
from fae.tracking.archive import Archive
from fae.tracking.store import Store

Overrides = Sequence[str]


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
    tracking, settings = composed[0].config.tracking, composed[0].config.sweep
    check_size(most_runs(composed), settings.max_jobs)
    seeds = _seeds_of(_prepare(composed, here=launchers.on_this_machine(base)))
    store = None if settings.plan_only else Store(tracking)
    archive = Archive.if_there(tracking)
    known = seeds.planned(lambda tasks: look_up(tasks, archive, settings))
    tasks = attach(known, launcher, archive, parent_run.identity(seeds.identity))
    launch = Launch(launcher, [task for task in tasks if task.to_run])
    name = sweep_name(arguments)
    show(name, tasks, archive, seeds.asked, seeds.later(tasks))
    if store is None or archive is None:
        return
    folder, at_once = launchers.make_folder_absolute(base), base.hydra.sweeper.max_batch_size
    job = Job(name, folder, command_line(arguments, "-m"))
    tags = parent_run.tags(tasks, seeds, computes=launchers.in_this_process(base))
    run = SweepRun(job, tags, tasks, launch, archive, at_once, _retry(arguments), seeds)
    _finish(run, store)


def _finish(run: SweepRun, store: Store) -> None:
    """Run what is left of a sweep, and report, unless jobs were left in the launcher's queue."""
    problems = run.finish(store)
    for step in () if run.is_left else (_report, _register):
        try:
            step(run)
        except FaeError as error:
            problems.append(error)
            if isinstance(error, VerdictError):  # none of its networks is to be used
                break
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
        ConfigError: a key or a value is wrong, or ``repeats`` is auto.
    """
    composed = compose_jobs("config", overrides, _read)
    if any(task.config.repeats == "auto" for task in composed):
        raise ConfigError("repeats=auto: which runs it makes depends on results; give a number")
    return Repeats(composed).tasks


def _seeds_of(composed: Sequence[Task]) -> Seeds:
    """The seeds of a sweep, of which there is one task per configuration."""
    if composed[0].config.repeats != "auto":
        return Repeats(composed)
    from fae.sweeps.rounds import Rounds  # needs SciPy

    return Rounds(composed)


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
    check_seeds(composed)
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


def _retry(arguments: Overrides) -> str:
    """The command of a sweep that repeats what failed, and nothing else."""
    kept = without(arguments, "sweep.rerun", "sweep.retry_failed")
    return command_line([*kept, "sweep.retry_failed=true"], "-m")


def _report(run: SweepRun) -> None:
    """Report the runs that finished, if there are any."""
    from fae.reports.present import report

    made = run.archive.runs_of(run.archive.run(run.parent))
    if not any(of_job.status == "FINISHED" for of_job in made):
        return
    config = run.tasks[0].config
    roots = {task.config.data.data_root for task in run.tasks} - {None}
    report(
        ReportConfig(
            sweep=(run.parent,),
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
