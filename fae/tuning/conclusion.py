"""The conclusion of a search: its best configuration with fresh seeds, stored and reported."""

import gc
import time
from collections.abc import Sequence
from dataclasses import replace

from fae.cli.compose import compose
from fae.cli.overrides import command_line, rounded_assignment, without
from fae.cli.preset import preset
from fae.drawing import figures
from fae.drawing.tables import as_markdown
from fae.errors import ConfigError, TrainingError
from fae.reports.published import find
from fae.runs.job import Job, JobGroup
from fae.runs.run import Result, train
from fae.runs.task import State, Task, look_up
from fae.runtime.console import say, warn
from fae.runtime.formatting import format_error, format_interval, format_share
from fae.runtime.intervals import estimate
from fae.tracking.archive import Archive
from fae.tracking.run import Run
from fae.tuning.charts import errors_by_value
from fae.tuning.results import RESULT_FILE, SearchResult, columns
from fae.tuning.search import Search
from fae.tuning.space import Range
from fae.tuning.study import FinishedTrial, Study

EDGE = 0.05
"""Share of a range; a best value this close to a bound may be better beyond it."""


def concluded(search: Search, archive: Archive) -> SearchResult | None:
    """The result of the search, if all runs with fresh seeds are done."""
    tasks = _fresh_tasks(search, archive)
    done = [Result.of(task.run) for task in tasks if task.run and task.state == State.DONE]
    return _result(search, done) if len(done) == len(tasks) else None


def conclude(search: Search, run: Run, archive: Archive) -> SearchResult:
    """Train the best configuration with fresh seeds, and store the result.

    Args:
        run: the study's run.

    Raises:
        TrainingError: no trial finished, or a run failed or is running in another process.
    """
    tasks = _fresh_tasks(search, archive)
    result = _result(search, _train(search, run.id, tasks))
    _store(run, result)
    origin = f"The best of {len(result.trials)} trials of the study {result.study!r}."
    reached = f"Reached a test error of {format_interval(result.test)}, seeds in brackets."
    run.log_text(preset(tasks[0].config, origin, reached), "preset.yaml")
    for warning in _warnings(search, result.best):
        warn(warning)
    if result.importances:
        (key, share), *others = result.importances.items()
        rest = "".join(f", {other} {format_share(less, '.0f')}" for other, less in others)
        explained = f"{format_share(share, '.0f')} of the variance of the trials' errors{rest}"
        say(f"{result.study}: {key} explains {explained}")
    return result


def fresh_runs(overrides: Sequence[str], repeats: int) -> list[Task]:
    """The runs that test a configuration, with the seeds that follow its own.

    Args:
        overrides: the command-line overrides that compose the configuration.
        repeats: number of runs.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    config, others = compose(*overrides), without(overrides, "seed")
    seeds = range(config.seed + 1, config.seed + 1 + repeats)
    return [Task(replace(config, seed=seed), [*others, f"seed={seed}"]) for seed in seeds]


def _fresh_tasks(search: Search, archive: Archive) -> list[Task]:
    """The runs that test the best configuration; runs that failed before are retried."""
    settings = replace(search.config.sweep, retry_failed=True)
    fresh = fresh_runs(search.with_values(_best(search.study).values), search.settings.repeats)
    fresh = [
        replace(task, config=replace(task.config, sweep=settings), shared=search.overrides)
        for task in fresh
    ]
    tasks = look_up(fresh, archive, settings)
    for task in tasks:
        if task.state == State.RUNNING:
            raise TrainingError(f"{task.name}: {task.describe()}; wait for it")
    return tasks


def _best(study: Study) -> FinishedTrial:
    best = study.best
    if best is None:
        why = f" (the first failed: {study.first_failure})" if study.finished else ""
        raise TrainingError(
            f"{study.name}: no trial finished{why}; raise search.trials, or choose another "
            "search.space and another search.name"
        )
    return best


def _train(search: Search, parent: str, tasks: Sequence[Task]) -> list[Result]:
    """Train the tasks, unless the store has their runs."""
    group = JobGroup(parent, time.time(), [task.work for task in tasks], kind="tests")
    results = []
    for number, task in enumerate(tasks):
        folder = search.job.folder / f"seed-{task.config.seed}"
        job = Job(task.name, folder, command_line(task.overrides), group, number)
        gc.collect()  # the Trainer of the run before is a cycle, which holds its images
        result = train(task.config, job)
        if not result.was_done:
            search.lacking.append(result.lacking)
            say(f"{job.label}  test {format_error(result.metrics['test/mse'])}")
        results.append(result)
    return results


def _result(search: Search, tests: Sequence[Result]) -> SearchResult:
    """The result of the search.

    Args:
        tests: of the best configuration.
    """
    config, study = search.config, search.study
    _, published = find(config.data.name, config.hidden)
    return SearchResult(
        study.name,
        config.hidden,
        search.settings.space,
        _best(study),
        study.finished,
        estimate([test.metrics["test/mse"] for test in tests]),
        [test.run_id for test in tests],
        study.epochs_saved,
        study.importances(),
        published.test_mse if published else None,
    )


def _store(run: Run, result: SearchResult) -> None:
    """Log the result to the study's run: metrics, table, charts."""
    assert result.best.error is not None
    run.log_metrics({"val/mse": result.best.error, "test/mse": result.test.mean}, step=0)
    run.log_text(result.json(), RESULT_FILE)
    run.set_note(as_markdown(columns([result])))
    for dimension in result.space:
        if isinstance(dimension, Range):
            chart = errors_by_value([result], dimension)
            run.log_figure(figures.draw(chart), f"figures/{chart.name}.png")


def _warnings(search: Search, best: FinishedTrial) -> list[str]:
    """Warnings about best values at the edge of their range, where values beyond are possible."""
    study, warnings = search.study, []
    for dimension in search.settings.space:
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
            compose(*search.with_values({**best.values, dimension.key: beyond}))
        except ConfigError:
            continue  # not a valid value
        warnings.append(
            f"{study.name}: the best {rounded_assignment(dimension.key, value)} lies at the edge "
            f"of its range ({dimension}); widen search.space.{dimension.key}.{end} and start a new "
            "study (search.name=...)"
        )
    return warnings
