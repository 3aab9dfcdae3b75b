"""The conclusion of a search: its best configuration with fresh seeds, stored and reported."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fae.cli.compose import compose
from fae.cli.overrides import command_line, rounded_assignment, without
from fae.cli.preset import preset
from fae.drawing import figures
from fae.drawing.tables import as_markdown, as_rich
from fae.errors import ConfigError, TrainingError, UndeliveredError
from fae.reports.published import find, papers
from fae.runs.job import Job, JobGroup
from fae.runs.run import Result, train
from fae.runs.task import State, Task, look_up
from fae.runtime.console import say, warn, wide
from fae.runtime.formatting import format_error, format_interval
from fae.runtime.intervals import estimate
from fae.tracking.archive import Archive
from fae.tracking.run import Run
from fae.tuning.results import FOUND, Found, Outcome, columns, errors_by_value
from fae.tuning.space import Range
from fae.tuning.study import Study, Tried
from fae.tuning.trials import Shared

EDGE = 0.05
"""A share of a range; what lies as close to an end may be better beyond it."""


def concluded(shared: Shared, archive: Archive) -> Found | None:
    """What the search found, if all runs with fresh seeds are done."""
    tasks = _fresh_tasks(shared, archive)
    return None if any(task.to_run for task in tasks) else _found(shared, tasks, {})


def conclude(shared: Shared, run: Run, archive: Archive) -> Found:
    """Train the best configuration with fresh seeds, and store what was found.

    Args:
        run: the study's.

    Raises:
        TrainingError: no trial finished, or a run failed or is running in another process.
    """
    tasks = _fresh_tasks(shared, archive)
    found = _found(shared, tasks, _train(shared, run.id, tasks))
    _store(run, found)
    run.log_text(preset(tasks[0].config, *_comments(found)), "preset.yaml")
    for warning in _warnings(shared, found.best):
        warn(warning)
    if found.importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in found.importances.items())
        say(f"{shared.name}: share of the variance of completed trials' errors: {shares}")
    return found


def show(outcomes: Sequence[Outcome]) -> None:
    """Print a table of what studies found.

    Raises:
        UndeliveredError: the store lacks something of them.
    """
    if found := [outcome.found for outcome in outcomes if outcome.found]:
        wide().print(as_rich(columns(found)))
    if lacking := [line for outcome in outcomes for line in outcome.lacking]:
        raise UndeliveredError("\n".join(lacking))


def fresh_runs(overrides: Sequence[str], repeats: int) -> list[Task]:
    """The runs that test a configuration: with the seeds that follow its own.

    Args:
        overrides: make the configuration.
        repeats: number of runs.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    config, others = compose(*overrides), without(overrides, "seed")
    seeds = range(config.seed + 1, config.seed + 1 + repeats)
    return [Task(replace(config, seed=seed), [*others, f"seed={seed}"]) for seed in seeds]


def _fresh_tasks(shared: Shared, archive: Archive) -> list[Task]:
    """The runs that test the best configuration; those that failed before are run again."""
    settings = replace(shared.config.sweep, retry_failed=True)
    fresh = fresh_runs(shared.with_values(_best(shared.study).values), shared.settings.repeats)
    fresh = [replace(task, config=replace(task.config, sweep=settings)) for task in fresh]
    tasks = look_up(fresh, archive, settings)
    for task in tasks:
        if task.state == State.RUNNING:
            raise TrainingError(f"{task.name}: {task.describe()}; wait for it")
    return tasks


def _best(study: Study) -> Tried:
    best = study.best
    if best is None:
        why = f" (the first failed: {study.first_failure})" if study.tried else ""
        raise TrainingError(
            f"{study.name}: no trial finished{why}; raise search.trials, or give another "
            "search.space and another search.name"
        )
    return best


def _train(shared: Shared, parent: str, tasks: Sequence[Task]) -> dict[int, Result]:
    """Train those that are to be run; their results, by number."""
    group = JobGroup(parent, time.time(), [task.work for task in tasks], kind="tests")
    results: dict[int, Result] = {}
    for number, task in enumerate(tasks):
        if task.to_run:
            folder = shared.folder / f"seed-{task.config.seed}"
            folder.mkdir(exist_ok=True)
            job = Job(task.name, folder, command_line(task.overrides), group, number)
            results[number] = train(task.config, job)
            shared.lacking.append(results[number].lacking)
            say(f"{job.label}  test {format_error(results[number].metrics['test/mse'])}")
    return results


def _found(shared: Shared, tasks: Sequence[Task], results: Mapping[int, Result]) -> Found:
    """What is known now.

    Args:
        results: of the tasks that this process ran, by number; the store has the others.
    """
    config, study = shared.config, shared.study
    _, published = find(papers(), config.data.name, config.hidden) or (None, None)
    errors, runs = [], []
    for number, task in enumerate(tasks):
        result = results.get(number)
        if result is None:
            assert task.run
            result = Result(task.run.id, dict(task.run.metrics))
        errors.append(result.metrics["test/mse"])
        runs.append(result.run_id)
    return Found(
        study.name,
        config.hidden,
        shared.settings.space,
        _best(study),
        study.tried,
        estimate(errors),
        runs,
        study.epochs_saved,
        study.importances(),
        published.test_mse if published else None,
    )


def _store(run: Run, found: Found) -> None:
    """Store what was found with the study's run: numbers, table, charts."""
    assert found.best.error is not None
    run.log_metrics({"val/mse": found.best.error, "test/mse": found.test.mean}, step=0)
    run.log_text(found.json(), FOUND)
    run.set_note(as_markdown(columns([found])))
    for dimension in found.space:
        if isinstance(dimension, Range):
            chart = errors_by_value([found], dimension)
            run.log_figure(figures.draw(chart), f"figures/{chart.name}.png")


def _comments(found: Found) -> list[str]:
    """Where a preset comes from."""
    return [
        f"The best of {len(found.trials)} trials of the study {found.study!r}.",
        f"Reached a test error of {format_interval(found.test)}, seeds in brackets.",
    ]


def _warnings(shared: Shared, best: Tried) -> list[str]:
    """Warnings of best values so close to an end of their range that beyond may be better."""
    warnings = []
    for dimension in shared.settings.space:
        if not isinstance(dimension, Range):
            continue
        value = best.values[dimension.key]
        assert isinstance(value, int | float)
        share = dimension.share(value)
        if min(share, 1 - share) > EDGE:
            continue
        low = share < EDGE
        end, beyond = ("low", dimension.at(-EDGE)) if low else ("high", dimension.at(1 + EDGE))
        try:
            compose(*shared.with_values({**best.values, dimension.key: beyond}))
        except ConfigError:
            continue  # there is nothing beyond
        warnings.append(
            f"{shared.name}: the best {rounded_assignment(dimension.key, value)} lies at the edge "
            f"of its range ({dimension}); move search.space.{dimension.key}.{end} and search again "
            "under another name"
        )
    return warnings
