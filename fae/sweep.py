"""What a multirun adds to its runs: checks before the first, a parent run, a summary.

Heavy imports wait until the configurations are known to be good.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from rich import get_console

from fae.compose import check, explain, raised_by_hydra
from fae.config import Config
from fae.errors import ConfigError, TrainingError
from fae.job import Plan, command_line, run_name, sweep_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fae.result import Result
    from fae.tracking import Run

Overrides = Sequence[str]


def sweep(
    base: DictConfig,
    arguments: Overrides,
    jobs: Sequence[Overrides],
    loader: ConfigLoader,
    launcher: Launcher,
) -> list[JobReturn]:
    """Check every configuration, launch them all under one parent run, sum them up.

    Args:
        base: Hydra's configuration of the multirun.
        arguments: the overrides as the user gave them, several values and all.
        jobs: the overrides of each job, before it is repeated over its seeds.

    Raises:
        ConfigError: names every bad value of every job; nothing was launched.
        DataError, StoreError: nothing was launched.
        TrainingError: some runs failed; the others are finished and summed up.
    """
    plan = _repeat(_compose(base, jobs, loader), jobs)
    configs, jobs = list(plan), list(plan.values())
    name = sweep_name(arguments)
    get_console().print(f"{name}: {len(jobs)} runs", highlight=False)

    from fae.provenance import tags
    from fae.sources import build_source
    from fae.tracking import Store
    from fae.training import check_surroundings

    for config in {(config.data, config.trainer): config for config in configs}.values():
        check_surroundings(config)
    digests = dict.fromkeys(build_source(config.data).digest for config in configs)
    folder = Path(base.hydra.sweep.dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(configs[0].tracking)
    with store.run(
        name,
        kind="sweep",
        folder=folder,
        command=command_line(arguments, "-m"),
        tags={**tags(configs[0].trainer.accelerator), "fae.data_digest": " ".join(digests)},
    ) as parent:
        Plan(parent.id, time.time(), [_work(config) for config in configs]).write(folder)
        returns: list[JobReturn] = []
        at_once = base.hydra.sweeper.max_batch_size or len(jobs)
        while len(returns) < len(jobs):
            batch = jobs[len(returns) :][:at_once]
            returns += launcher.launch(batch, initial_job_idx=len(returns))
        _summarise(parent, [r.return_value for r in returns if r.status == JobStatus.COMPLETED])
        failed = [
            run_name(config, job)
            for config, job, r in zip(configs, jobs, returns, strict=True)
            if r.status != JobStatus.COMPLETED
        ]
        if failed:
            raise TrainingError(f"{len(failed)} of {len(jobs)} runs failed: {', '.join(failed)}")
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
    much as some 50 units (measured on 2 cores, batches of 1000).
    """
    return config.epochs * (50.0 + config.hidden)


def _summarise(parent: "Run", results: "Sequence[Result]") -> None:
    """Print the table, and put it and both figures on the parent run."""
    if not results:
        return
    from fae import figures, table

    tables = {"table": table.columns(results), "seeds": table.over_seeds(results)}
    shown = {name: columns for name, columns in tables.items() if any(columns.values())}
    for name, columns in shown.items():
        get_console().print(table.terminal(columns))
        parent.log_table(
            {heading: list(cells) for heading, cells in columns.items()}, f"{name}.json"
        )
    parent.describe("\n".join(map(table.markdown, shown.values())))
    histories = dict(zip(table.titles(results), (r.epochs for r in results), strict=True))
    parent.log_figure(figures.curves(histories), "figures/curves.png")
    parent.log_figure(_panel(results), "figures/reconstructions.png")


def _panel(results: "Sequence[Result]") -> "Figure":
    """The same test images through every network, a column a setting (its first seed)."""
    from fae import figures, table

    first = results[0].panel
    networks = {
        title: (runs[0].panel.reconstructions, runs[0].panel.errors)
        for title, runs in table.settings(results).items()
        if np.array_equal(runs[0].panel.originals, first.originals)
    }
    return figures.reconstructions(first.originals, networks, first.classes)
