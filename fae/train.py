"""The command: train one configuration, or with -m a sweep of them.

Light at import, so that --help answers at once; ``fae.runs.run`` does the work.
"""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import gc
import logging
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fae.cli import command
from fae.cli.compose import CONF, read
from fae.config import Config
from fae.errors import FaeError, TrainingError, UndeliveredError, cause
from fae.runs.job import Job, current_job
from fae.runtime.console import say
from fae.runtime.formatting import format_error

if TYPE_CHECKING:
    from fae.runs.result import Result

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def run_job(node: DictConfig) -> "Result | None":
    """One job, as Hydra runs it: train, and say in a line how it ended."""
    command.enter()

    from fae.runs.run import train

    config = read(node, Config)
    job = current_job(config)
    if config.sweep.plan_only:
        _plan(config)
        return None
    gc.freeze()  # what was imported holds no images: no need to look through it each time
    try:
        result = train(config, job, lambda job: _what_is_left(config, job))
    except DoneError as done:
        say(f"{job.label}  {done}; sweep.rerun=true runs it again")
        return None
    except Exception as error:
        known = isinstance(error, FaeError)
        told = not known and (job.sweep or isinstance(error, OSError))
        failure = TrainingError(cause(error)) if told else error
        if job.sweep:
            log.warning("%s  failed", job.label, exc_info=not known)
            say(f"{job.label}  failed: {failure}")
            failure = failure.with_traceback(None)  # its frames would keep the images alive
        raise failure from None
    finally:
        gc.collect()  # a Trainer is a cycle: its images would live on beside the next job's
        gc.unfreeze()
    final = result.final
    errors = "  ".join(
        f"{split} {format_error(final[f'{split}/mse'])}" for split in ("train", "val", "test")
    )
    say(f"{job.label}  {errors}  {final['time/fit_s']:.1f} s  run {result.run_id[:8]}")
    if result.lacking:
        raise UndeliveredError(result.lacking)
    return result


class DoneError(Exception):
    """Another command has finished the same run."""


def _what_is_left(config: Config, job: Job) -> Job:
    """What is left to do of a job, by what the store knows of it by now.

    Raises:
        DoneError: nothing.
        TrainingError: it failed before, or another process is at it.
    """
    from fae.sweeps import plan
    from fae.tracking.archive import Archive

    task = plan.task(config, HydraConfig.get().overrides.task)
    (task,) = plan.look_up([task], Archive(config.tracking), config.sweep)
    if task.state == "done":
        raise DoneError(task.outlook())
    if not task.to_do:
        raise TrainingError(f"{task.name}: {task.outlook()}")
    return job.going_on_with(task.origin) if task.origin else job


def _plan(config: Config) -> None:
    """Show what would become of a single run."""
    from fae.runs.run import check_surroundings
    from fae.sweeps import plan
    from fae.tracking.archive import Archive

    check_surroundings(config)
    task = plan.task(config, HydraConfig.get().overrides.task)
    archive = Archive.if_there(config.tracking)
    plan.show("plan", plan.look_up([task], archive, config.sweep), archive, asked=1)


def main() -> None:
    """Entry point of ``python -m fae.train`` and ``fae-train``."""
    command.run(run_job)


if __name__ == "__main__":
    main()
