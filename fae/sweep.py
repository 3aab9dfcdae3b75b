"""What a multirun adds to its runs: checks before the first, a parent run, a report.

Heavy imports wait until the configurations are known to be good.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from fae.compose import check, explain, raised_by_hydra
from fae.config import Config, DataRoot, FashionMNISTConfig, ReportRequest
from fae.errors import ConfigError, FaeError, TrainingError
from fae.job import Plan, command_line, run_name, sweep_name
from fae.terminal import say

Overrides = Sequence[str]


def sweep(
    base: DictConfig,
    arguments: Overrides,
    jobs: Sequence[Overrides],
    loader: ConfigLoader,
    launcher: Launcher,
) -> list[JobReturn]:
    """Check every configuration, launch them all under one parent run, and report.

    Args:
        base: Hydra's configuration of the multirun.
        arguments: the overrides as the user gave them, several values and all.
        jobs: the overrides of each job, before it is repeated over its seeds.

    Raises:
        ConfigError: names every bad value of every job; nothing was launched.
        DataError, StoreError: nothing was launched.
        VerdictError: the report found otherwise than ``report.fail_unless``.
        TrainingError: some runs failed; the others are finished and reported.
    """
    plan = _repeat(_compose(base, jobs, loader), jobs)
    configs, jobs = list(plan), list(plan.values())
    name = sweep_name(arguments)
    say(f"{name}: {len(jobs)} runs")

    from fae.provenance import tags
    from fae.tracking import Store

    digests = _check_surroundings(configs)
    folder = Path(base.hydra.sweep.dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    failure: TrainingError | None = None
    try:
        with Store(configs[0].tracking).run(
            name,
            kind="sweep",
            folder=folder,
            command=command_line(arguments, "-m"),
            tags={
                **tags(configs[0].trainer.accelerator),
                "fae.data_digest": " ".join(digests),
                "fae.planned": str(len(jobs)),
            },
        ) as parent:
            Plan(parent.id, time.time(), [_work(config) for config in configs]).write(folder)
            returns = _launch(launcher, jobs, base.hydra.sweeper.max_batch_size or len(jobs))
            _raise_failures(configs, jobs, returns)
    except TrainingError as error:
        failure = error
    if any(done.status == JobStatus.COMPLETED for done in returns):
        try:
            _report(configs, parent.id)
        except FaeError as error:
            raise TrainingError(f"{failure}\n{error}") if failure else error from None
    if failure:
        raise failure
    return returns


def _compose(base: DictConfig, jobs: Sequence[Overrides], loader: ConfigLoader) -> list[Config]:
    """The configuration of each job, or a ConfigError about all that are wrong."""
    if not jobs:
        raise ConfigError("sweep: no runs; a range or a list of values is empty")
    configs: list[Config] = []
    problems: list[str] = []
    for overrides in jobs:
        try:
            configs.append(check(loader.load_sweep_config(base, list(overrides))))
        except ConfigError as error:
            problems += error.problems
        except Exception as error:
            if not raised_by_hydra(error):
                raise
            problems += explain(error).problems
    if problems:
        raise ConfigError(*problems)
    if len({config.tracking for config in configs}) > 1:
        raise ConfigError("tracking: must be the same for all runs of a sweep")
    return configs


def _repeat(configs: Sequence[Config], jobs: Sequence[Overrides]) -> dict[Config, Overrides]:
    """Each configuration once with each of its seeds, and the overrides that make it.

    All first seeds go first, then all second ones, so that a sweep that is cut short has
    every configuration, and a machine that slows down slows all of them alike.
    """
    planned: dict[Config, Overrides] = {}
    for repeat in range(max(config.repeats for config in configs)):
        for config, overrides in zip(configs, jobs, strict=True):
            if repeat < config.repeats:
                one = replace(config, seed=config.seed + repeat, repeats=1)
                others = [o for o in overrides if not o.startswith(("seed=", "repeats="))]
                planned.setdefault(one, [*others, f"seed={one.seed}", "repeats=1"])
    return planned


def _work(config: Config) -> float:
    """The work of a run, in units of what one hidden unit takes in one epoch.

    A step costs a part that grows with the hidden layer and a part that does not, as
    much as some 30 units (from docs/speed-table.md).
    """
    return config.epochs * (30.0 + config.hidden)


def _check_surroundings(configs: Sequence[Config]) -> list[str]:
    """Make sure of the data and the devices; the digests of the data sets, each once."""
    from fae.sources import build_source
    from fae.training import check_surroundings

    for config in {(config.data, config.trainer): config for config in configs}.values():
        check_surroundings(config)
    return list(dict.fromkeys(build_source(config.data).digest for config in configs))


def _raise_failures(
    configs: Sequence[Config], jobs: Sequence[Overrides], returns: Sequence[JobReturn]
) -> None:
    failed = [
        run_name(config, job)
        for config, job, done in zip(configs, jobs, returns, strict=True)
        if done.status != JobStatus.COMPLETED
    ]
    if failed:
        names = ", ".join(failed)
        raise TrainingError(f"{len(failed)} of {len(jobs)} runs failed: {names}")


def _launch(launcher: Launcher, jobs: Sequence[Overrides], at_once: int) -> list[JobReturn]:
    returns: list[JobReturn] = []
    while len(returns) < len(jobs):
        batch = jobs[len(returns) :][:at_once]
        returns += launcher.launch(batch, initial_job_idx=len(returns))
    return returns


def _report(configs: Sequence[Config], parent: str) -> None:
    """The report of the runs that finished."""
    from fae.report import report

    config = configs[0]
    roots = [c.data.root for c in configs if isinstance(c.data, FashionMNISTConfig)]
    report(
        ReportRequest(
            sweep=(parent,),
            where=None,
            out=None,
            data=DataRoot(root=(roots or [Path()])[0]),
            tracking=config.tracking,
            report=config.report,
        )
    )
