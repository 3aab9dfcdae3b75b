"""What a multirun adds to its runs: a plan before the first, a parent run, a report.

Heavy imports wait until the configurations are known to be good.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from fae.cli.compose import check, compose_jobs, read_all
from fae.config import Config
from fae.errors import ConfigError, FaeError, TrainingError, UndeliveredError
from fae.reports.config import DataRoot, ReportRequest
from fae.runs.job import command_line, sweep_name
from fae.runtime.console import say

if TYPE_CHECKING:
    from fae.sweeps.launch import Launch
    from fae.sweeps.plan import Task
    from fae.tracking.archive import Archive, StoredRun
    from fae.tracking.run import Run

Overrides = Sequence[str]
NOT_A_JOBS = ("seed=", "repeats=", "report.", "report=")
"""Beginnings of overrides that are the sweep's, or that each of its jobs has of its own."""


class FailedRunsError(TrainingError):
    """Some runs of a sweep failed.

    Args:
        causes: of each, by its name.
        total: runs of the sweep.
    """

    def __init__(self, causes: Mapping[str, str], total: int) -> None:
        super().__init__(f"{len(causes)} of {total} runs failed: {', '.join(causes)}")


def sweep(
    base: DictConfig,
    arguments: Overrides,
    jobs: Sequence[Overrides],
    loader: ConfigLoader,
    launcher: Launcher,
) -> None:
    """Plan all runs, launch those that are to be done under one parent run, and report.

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
    settings = composed[0].config.sweep
    asked = sum(one.config.repeats for one in composed)
    check_size([asked], settings.max_jobs)
    repeated = _repeat(composed)
    configs = [one.config for one in repeated]

    from fae.sweeps import plan
    from fae.sweeps.launch import Launch
    from fae.tracking.archive import Archive
    from fae.tracking.lock import store_lock
    from fae.tracking.store import Store

    _check_surroundings(configs)
    store = None if settings.plan_only else Store(configs[0].tracking)
    archive = Archive.if_there(configs[0].tracking)
    tasks = plan.look_up(_tasks(repeated), archive, settings)
    launch = Launch(launcher, [one for one in tasks if one.to_do])
    name = sweep_name(arguments)
    plan.show(name, tasks, archive, asked=asked)
    if store is None:
        return
    assert archive is not None
    known = None if settings.rerun else _known(archive, tasks)
    parent = known.id if known else ""
    failure: FaeError | None = None
    lacking: list[str] = []
    if known is None or known.status != "FINISHED" or any(one.to_do for one in tasks):
        folder = Path(base.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        stop = settings.on_failure == "stop"
        at_once = base.hydra.sweeper.max_batch_size or (1 if stop else len(tasks))
        try:
            with ExitStack() as until_end:
                with store_lock(store.uri):
                    known = None if settings.rerun else _known(archive, tasks)
                    run = until_end.enter_context(
                        store.run(
                            name,
                            kind="sweep",
                            folder=folder,
                            command=command_line(arguments, "-m"),
                            tags=_tags(tasks),
                            resume=known.id if known else None,
                        )
                    )
                parent = run.id
                _record(run, tasks)
                _adopt(run, tasks)
                launch.run(at_once, parent, folder, archive, stop_at_failure=stop)
                tasks = plan.look_up(tasks, archive, settings)
                _adopt(run, tasks)
                if causes := _causes(tasks, launch):
                    raise FailedRunsError(causes, len(tasks))
        except FailedRunsError as error:
            failure = error
        lacking = [*launch.lacking, *filter(None, [run.lacking])]
    problems: list[FaeError] = [failure] if failure else []
    try:
        _report(configs, parent, archive)
    except FaeError as error:
        problems.append(error)
    problems += map(UndeliveredError, lacking)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = TrainingError if failure else UndeliveredError
        raise kind("\n".join(map(str, problems)))


def planned(overrides: Overrides) -> "list[Task]":
    """The runs of ``python -m fae.train -m`` with these overrides, whatever the store has of them.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    return _tasks(_repeat(compose_jobs("config", overrides, _read)))


def check_size(choices: Sequence[int], limit: int) -> None:
    """Make sure that a sweep is not larger than ``sweep.max_jobs``.

    Args:
        choices: values of each key; every one of them goes with every other.

    Raises:
        ConfigError: it is.
    """
    if prod(choices) > limit:
        raise ConfigError(
            f"sweep.max_jobs={limit}: this sweep has {prod(choices)} runs; if you want them all, "
            f"add sweep.max_jobs={prod(choices)}"
        )


@dataclass(frozen=True)
class _Composed:
    """A job's configuration, the overrides that make it, and its choices of Hydra's groups."""

    config: Config
    overrides: Overrides
    choices: Mapping[str, str]


def _compose(base: DictConfig, jobs: Sequence[Overrides], loader: ConfigLoader) -> list[_Composed]:
    """The configuration of each job, or a ConfigError about all that are wrong."""
    if not jobs:
        raise ConfigError("sweep: no runs; a range or a list of values is empty")
    composed = read_all(base, jobs, loader, _read)
    for group in ("tracking", "sweep", "report"):
        if len({getattr(one.config, group) for one in composed}) > 1:
            raise ConfigError(f"{group}: must be the same for all runs of a sweep")
    return composed


def _read(node: DictConfig, overrides: Overrides) -> _Composed:
    return _Composed(check(node), overrides, dict(node.hydra.runtime.choices))


def _repeat(composed: Sequence[_Composed]) -> list[_Composed]:
    """Each configuration once with each of its seeds.

    All first seeds go first, then all second ones, so that a sweep that is cut short has
    every configuration, and a machine that slows down slows all of them alike.
    """
    repeated: dict[Config, _Composed] = {}
    for repeat in range(max(one.config.repeats for one in composed)):
        for one in composed:
            if repeat < one.config.repeats:
                config = replace(one.config, seed=one.config.seed + repeat, repeats=1)
                others = [o for o in one.overrides if not o.lstrip("+").startswith(NOT_A_JOBS)]
                overrides = [*others, f"seed={config.seed}", "repeats=1"]
                repeated.setdefault(config, _Composed(config, overrides, one.choices))
    return list(repeated.values())


def _tasks(repeated: Sequence[_Composed]) -> "list[Task]":
    """The runs of a sweep, each once, as if the store knew nothing of them."""
    from fae.sweeps.plan import task

    asked_for = (task(one.config, one.overrides, one.choices) for one in repeated)
    return list({one.fingerprint: one for one in asked_for}.values())


def _check_surroundings(configs: Sequence[Config]) -> None:
    """Make sure of the data and the devices."""
    from fae.runs.run import check_surroundings

    for config in {(config.data, config.trainer): config for config in configs}.values():
        check_surroundings(config)


def _identity(tasks: "Sequence[Task]") -> str:
    """The fingerprint of a sweep: the same for the same runs in any order."""
    all_of_them = "\n".join(sorted(one.fingerprint for one in tasks))
    return hashlib.sha256(all_of_them.encode()).hexdigest()[:16]


def _known(archive: "Archive", tasks: "Sequence[Task]") -> "StoredRun | None":
    """The newest sweep of the same runs.

    Raises:
        TrainingError: another process is at it.
    """
    identity = _identity(tasks)
    sweeps = archive.alike("sweep", [identity]).get(identity, [])
    for sweep in sweeps:
        if sweep.status == "RUNNING":
            raise TrainingError(
                f"{sweep.name}: another process is at this sweep, run {sweep.id[:8]}; wait for "
                "it, or run everything anew by sweep.rerun=true"
            )
    return sweeps[-1] if sweeps else None


def _tags(tasks: "Sequence[Task]") -> dict[str, str]:

    from fae.runs.provenance import tags

    digests = dict.fromkeys(one.config.data.build().digest for one in tasks)
    return {
        **tags(tasks[0].config.trainer.accelerator),
        "fae.data_digest": " ".join(digests),
        "fae.fingerprint": _identity(tasks),
        "fae.planned": str(len(tasks)),
    }


def _record(run: "Run", tasks: "Sequence[Task]") -> None:
    """Keep the plan with the sweep."""
    plan = [
        {
            "name": one.name,
            "overrides": one.overrides,
            "fingerprint": one.fingerprint,
            "outlook": one.outlook(),
            "config": one.config.plain(),
        }
        for one in tasks
    ]
    run.log_text(json.dumps(plan, indent=1) + "\n", "plan.json")


def _adopt(run: "Run", tasks: "Sequence[Task]") -> None:
    """Keep with the sweep which runs of other commands are part of it by now."""
    adopted = [
        one.run.id
        for one in tasks
        if one.run and one.state != "failed" and one.run.tags.get("mlflow.parentRunId") != run.id
    ]
    if adopted:
        text = json.dumps(adopted) + "\n"
        path = f"adopted/{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        run.log_text(text, path)
        run.set_tags({"fae.adopted": path})


def _causes(tasks: "Sequence[Task]", launch: "Launch") -> dict[str, str]:
    """Why runs are not there, now or before, by name; said with the command for each.

    Args:
        tasks: as they are now.
    """
    causes = {one.name: one.outlook() for one in tasks if one.state in {"failed", "running"}}
    done = {one.fingerprint for one in tasks if one.state == "done"}  # by other commands, perhaps
    for number, cause in launch.failures.items():
        if launch.tasks[number].fingerprint not in done:
            causes[launch.tasks[number].name] = cause
    again = {one.name: command_line([*one.overrides, "sweep.retry_failed=true"]) for one in tasks}
    for name, cause in causes.items():
        say(f"failed  {name}: {cause}")
        say(f"        {again[name]}")
    return causes


def _report(configs: Sequence[Config], parent: str, archive: "Archive") -> None:
    """The report of the runs that finished, if there are any."""
    from fae.report import report

    if not any(run.status == "FINISHED" for run in archive.runs_of(archive.run(parent))):
        return
    config = configs[0]
    report(
        ReportRequest(
            sweep=(parent,),
            where=None,
            out=None,
            data=DataRoot(root=next(filter(None, (c.data.place for c in configs)), None)),
            tracking=config.tracking,
            report=config.report,
        )
    )
