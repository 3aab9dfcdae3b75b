"""What a multirun adds to its runs: a plan before the first, a parent run, a report.

Heavy imports wait until the configurations are known to be good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from fae.cli import launchers
from fae.cli.compose import check, compose_jobs, read_all
from fae.cli.overrides import command_line, sweep_name, without
from fae.errors import ConfigError, FaeError, TrainingError, UndeliveredError
from fae.reports.config import DataRoot, ReportConfig
from fae.runs.begin import begin
from fae.runs.job import Job
from fae.runs.task import Known, State, Task, look_up
from fae.sweeps import parent_run
from fae.sweeps.launch import Launch
from fae.sweeps.plan import show
from fae.tracking.archive import Archive
from fae.tracking.run import Run
from fae.tracking.store import Store

Overrides = Sequence[str]
SHOWN = 10
"""Failed runs that the end of a sweep names."""
NOT_OF_A_JOB = ("seed", "repeats", "report")
"""Keys that hold for the whole sweep, or that each of its jobs gets a value of its own of."""


class FailedRunsError(TrainingError):
    """Some runs of a sweep failed."""


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
    _prepare(composed, here=launchers.on_this_machine(base))
    store = None if settings.plan_only else Store(tracking)
    archive = Archive.if_there(tracking)
    tasks = look_up(_repeat(composed), archive, settings)
    launch = Launch(launcher, [task for task in tasks if task.to_run])
    name = sweep_name(arguments)
    show(name, tasks, archive, asked=asked)
    if store and archive:
        folder, at_once = launchers.make_folder_absolute(base), base.hydra.sweeper.max_batch_size
        job = Job(name, folder, command_line(arguments, "-m"))
        tags = parent_run.tags(tasks, computes=launchers.in_this_process(base))
        _run(job, tags, tasks, launch, store, archive, at_once, _retry(arguments))


def _run(
    job: Job,
    tags: Mapping[str, str],
    tasks: Sequence[Task],
    launch: Launch,
    store: Store,
    archive: Archive,
    at_once: int | None,
    retry: str,
) -> None:
    """Launch what is to be run within the sweep's run, unless all is done, and report.

    The run is a new one with these tags, or that of an earlier sweep of the same runs.

    Raises:
        TrainingError: the sweep is running in another process.
        FaeError: as ``sweep``; of several problems the runs that failed count most.
    """
    problems: list[FaeError] = []

    def known() -> Known:
        return _known(archive, tasks)

    try:
        parameters = parent_run.shared([task.config.parameters() for task in tasks])
        with begin(store, job, known, kind="sweep", tags=tags, parameters=parameters) as begun:
            run, found = begun
            if run:
                _launch(run, tasks, launch, archive, at_once, retry)
    except FailedRunsError as error:
        problems.append(error)
    parent = run or found.run
    assert parent
    try:
        _report(tasks, parent.id, archive)
    except FaeError as error:
        problems.append(error)
    lacking = [*launch.lacking, run.lacking if run else ""]
    _raise([*problems, *map(UndeliveredError, filter(None, lacking))])


def _launch(
    run: Run,
    tasks: Sequence[Task],
    launch: Launch,
    archive: Archive,
    at_once: int | None,
    retry: str,
) -> None:
    """Launch all jobs within the sweep's run.

    Args:
        at_once: jobs that the launcher gets at a time.
        retry: the command that repeats those that fail.

    Raises:
        FailedRunsError: some runs of the sweep failed, now or before.
    """
    parent_run.record(run, tasks)
    parent_run.adopt(run, tasks)
    settings = tasks[0].config.sweep
    stop = settings.on_failure == "stop"
    at_once = at_once or (1 if stop else len(tasks))
    colours = _colours(tasks)
    launch.run(at_once, run.id, run.folder, archive, stop_at_failure=stop, colours=colours)
    tasks = look_up(tasks, archive, settings)
    parent_run.adopt(run, tasks)
    if causes := _causes(tasks, launch):
        raise FailedRunsError(_failure(causes, len(tasks), retry))


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


def _prepare(tasks: Sequence[Task], *, here: bool) -> None:
    """Check prerequisites once for each data set and trainer, as ``fae.runs.run.prepare``."""
    from fae.runs.run import prepare

    for config in {(t.config.data, t.config.trainer): t.config for t in tasks}.values():
        prepare(config, here=here)


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


def _known(archive: Archive, tasks: Sequence[Task]) -> Known:
    """What the store knows of sweeps of the same runs; the newest is the one to resume.

    Raises:
        TrainingError: one of them is running in another process.
    """
    if tasks[0].config.sweep.rerun:
        return Known()
    identity = parent_run.identity(task.fingerprint for task in tasks)
    sweeps = archive.alike("sweep", [identity]).get(identity, [])
    for sweep in sweeps:
        if sweep.status == "RUNNING":
            raise TrainingError(
                f"{sweep.name}: this sweep is running in another process, run {sweep.id[:8]}; wait "
                "for it, or run everything again by sweep.rerun=true"
            )
    if not sweeps:
        return Known()
    is_done = sweeps[-1].status == "FINISHED" and not any(task.to_run for task in tasks)
    return Known(state=State.DONE if is_done else State.RESUMABLE, run=sweeps[-1])


def _colours(tasks: Sequence[Task]) -> list[str]:
    """Colours in the UI of those tasks that are to be run: of n as in reports, unless all have one.

    Args:
        tasks: all of the sweep.
    """
    from fae.drawing import looks

    of_n = looks.in_order(task.config.hidden for task in tasks)
    apart = looks.apart(task.fingerprint for task in tasks)
    return [
        (of_n[task.config.hidden] if len(of_n) > 1 else apart[task.fingerprint]).colour
        for task in tasks
        if task.to_run
    ]


def _causes(tasks: Sequence[Task], launch: Launch) -> list[str]:
    """Which runs failed, now or before, and why.

    Args:
        tasks: as they are now.
    """
    now = {launch.tasks[n].fingerprint: cause for n, cause in launch.failures.items()}
    causes = []
    for task in tasks:
        if task.state != State.DONE and task.fingerprint in now:
            causes.append(f"{task.name}: {now[task.fingerprint]}")
        elif task.state == State.FAILED and task.run:
            causes.append(f"{task.name}: failed before: {task.run.cause}")
        elif task.state == State.RUNNING:
            causes.append(f"{task.name}: {task.describe()}")
    return causes


def _retry(arguments: Overrides) -> str:
    """The command of a sweep that repeats what failed, and nothing else."""
    kept = without(arguments, "sweep.rerun", "sweep.retry_failed")
    return command_line([*kept, "sweep.retry_failed=true"], "-m")


def _failure(causes: Sequence[str], runs: int, retry: str) -> str:
    """What the sweep ends with: the runs that failed, and the command that retries them."""
    more = [f"and {len(causes) - SHOWN} more"] if len(causes) > SHOWN else []
    lines = [f"  {line}" for line in [*causes[:SHOWN], *more]]
    remedy = f"retry them, once the cause is fixed, with:\n{retry}"
    return "\n".join([f"{len(causes)} of {runs} runs failed", *lines, remedy])


def _report(tasks: Sequence[Task], parent: str, archive: Archive) -> None:
    """Report the runs that finished, if there are any."""
    from fae.reports.present import report

    if not any(run.status == "FINISHED" for run in archive.runs_of(archive.run(parent))):
        return
    config = tasks[0].config
    roots = (task.config.data.data_root for task in tasks)
    report(
        ReportConfig(
            sweep=(parent,),
            where=None,
            out=None,
            data=DataRoot(root=next(filter(None, roots), None)),
            tracking=config.tracking,
            report=config.report,
        ),
        failures_follow=True,
    )
