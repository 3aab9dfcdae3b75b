"""The command: train one configuration, or with -m a sweep of them.

Light at import, so that --help answers at once; ``fae.runs.run`` does the work.
"""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import gc
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fae.cli import command
from fae.cli.compose import CONF, read
from fae.cli.overrides import command_line, key_of
from fae.config import Config
from fae.errors import (
    FaeError,
    RunningElsewhereError,
    StoreError,
    TrainingError,
    UndeliveredError,
    cause,
)
from fae.runs.job import current_job
from fae.runtime.console import BAD, point, say
from fae.runtime.formatting import format_duration, format_error

if TYPE_CHECKING:
    from fae.runs.run import Result

log = logging.getLogger(__name__)
SCHEMAS = (Config,)
SPLITS = ("train", "val", "test")
OF_A_STORE = ("data.root", "local", "tracking.experiment", "tracking.uri")
"""Keys of an override without which the report command would not find a run."""


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def run_job(node: DictConfig) -> "Result | None":
    """One job, as Hydra runs it."""
    with command.job():
        return _run_job(node)


def _run_job(node: DictConfig) -> "Result | None":
    """Train, and report in one line how it ended."""
    from fae.analysis.champion import register
    from fae.runs.run import train

    config = read(node, Config)
    job = current_job(config)
    if config.sweep.plan_only:
        _show_plan(config)
        return None
    gc.freeze()  # what was imported holds no images: no need to look through it each time
    try:
        result = train(config, job)
    except RunningElsewhereError:
        if not job.group:
            raise
        say(f"{job.label}  running in another process")
        return None
    except Exception as error:
        known = isinstance(error, FaeError)
        in_one_line = not known and (job.group or isinstance(error, OSError))
        failure = TrainingError(cause(error)) if in_one_line else error
        if job.group:
            log.warning("%s  failed", job.label, exc_info=not known)
            say(f"{job.label}  failed: {failure}", style=BAD)
            failure = failure.with_traceback(None)  # its frames would keep the images alive
        raise failure from None
    finally:
        gc.collect()  # a Trainer is a cycle: its images would live on beside the next job's
        gc.unfreeze()
    say(f"{job.label}  {_summary(result)}")
    if result.lacking:
        problems = [result.lacking]
        if config.tracking.register and not job.group:
            problems.append(f"tracking.register={config.tracking.register}: nothing is registered")
        raise UndeliveredError("\n".join(problems))
    if not job.group:
        _say_where(result, config)
        register(result, config)
    return result


def _summary(result: "Result") -> str:
    run, metrics = f"run {result.run_id[:8]}", result.metrics
    if result.was_done:
        error = format_error(metrics["test/mse"])
        return f"done: test {error}, {run}; sweep.rerun=true runs it again"
    errors = (f"{name} {format_error(metrics[f'{name}/mse'])}" for name in SPLITS)
    return f"{'  '.join(errors)}  {format_duration(metrics['time/fit_s'])}  {run}"


def _say_where(result: "Result", config: Config) -> None:
    """Say where a single run's files are, how to see it in the UI, and how to get its report."""
    from fae.tracking.archive import Archive
    from fae.tracking.ui import links, run_page

    asked = HydraConfig.get().overrides.task
    elsewhere = [override for override in asked if key_of(override) in OF_A_STORE]
    report = command_line([f"where=run={result.run_id[:8]}", *elsewhere], module="fae.report")
    point("folder", Path(result.folder))
    point("report", report)
    with suppress(StoreError):  # it has the run, and may be away again
        for label, target in links(
            config.tracking.uri, run_page(Archive(config.tracking), result.run_id)
        ):
            point(label, target)


def _show_plan(config: Config) -> None:
    """Show what would become of a single run."""
    from fae.runs.run import prepare
    from fae.runs.task import Task, look_up
    from fae.sweeps import plan
    from fae.tracking.archive import Archive

    prepare(config)
    task = Task(config, HydraConfig.get().overrides.task)
    archive = Archive.if_there(config.tracking)
    plan.show("plan", look_up([task], archive, config.sweep), archive, asked=1)


def _prepare(config: Config) -> None:
    from fae.runs.run import prepare

    prepare(config)


def main() -> None:
    """Entry point of ``fae train`` and ``python -m fae.train``."""
    command.run(run_job, *SCHEMAS, name="train", prepare=_prepare)


if __name__ == "__main__":
    main()
