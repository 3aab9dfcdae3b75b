"""Seeds that are added round by round, by what the results so far decide."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from fae.config import Config
from fae.errors import ConfigError
from fae.reports import published
from fae.reports.published import Open, Paper, PublishedResult
from fae.runs.task import State, Task
from fae.sweeps import parent_run
from fae.sweeps.rounds import Rounds
from fae.sweeps.seeds import check_seeds, most_runs
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
Errors = Callable[[int, int], float]
"""Test error by the number of hidden units and the seed."""
CLOSE = {0: 0.0, 1: 0.001, 2: -0.001, 3: 0.0005, 4: -0.0005}


def row(tiny: Tiny, *overrides: str) -> Task:
    config = replace(tiny(*overrides), repeats="auto", repeats_max=6)
    return Task(config, [*overrides, "repeats=auto", "repeats_max=6"])


@pytest.fixture
def rows(tiny: Tiny) -> list[Task]:
    """Three settings without a published error, the first of which is not the first given."""
    return [row(tiny, f"hidden={hidden}") for hidden in (8, 4, 6)]


def done(tasks: Sequence[Task], error: Errors) -> list[Task]:
    return [
        replace(
            task,
            state=State.DONE,
            run=StoredRun("0" * 32, "", "FINISHED", 0, 1, {}, {"test/mse": value}, {}),
        )
        for task in tasks
        for value in [error(task.config.hidden, task.config.seed)]
    ]


def names(tasks: Sequence[Task]) -> list[str]:
    return [f"{task.config.hidden}/{task.config.seed}" for task in tasks]


def test_the_first_round_has_three_seeds_of_each(rows: list[Task]) -> None:
    tasks = Rounds(rows).planned(list)
    assert names(tasks) == [f"{hidden}/{seed}" for seed in range(3) for hidden in (8, 4, 6)]
    assert {task.config.repeats for task in tasks} == {1}
    assert tasks[0].overrides == ["hidden=8", "seed=0", "repeats=1"]
    assert most_runs(rows) == 18


def test_settings_that_are_decided_get_no_more_and_the_first_as_many_as_others_need(
    rows: list[Task],
) -> None:
    """8 differs from 4 at once, 6 does not."""
    rounds = Rounds(rows)

    def error(hidden: int, seed: int) -> float:
        return {4: 0.04, 8: 0.02, 6: 0.03}[hidden] + CLOSE[seed] * (10 if hidden == 6 else 0.01)

    tasks = done(rounds.planned(list), error)
    more = rounds.more(tasks)
    assert names(more) == ["4/3", "6/3"]
    assert names(rounds.later(tasks)) == [*(f"4/{s}" for s in (3, 4, 5)), "6/3", "6/4", "6/5"]
    assert rounds.more([*tasks, *more]) == []  # whose results are awaited
    assert names(rounds.more([*tasks, *done(more, error)])) == ["4/4", "6/4"]


def test_the_plan_has_all_rounds_whose_results_are_stored(rows: list[Task]) -> None:
    """Whatever process made them, in whatever order: so a killed sweep is resumed where it was."""

    def look_up(tasks: Sequence[Task]) -> list[Task]:
        return [
            task if (task.config.hidden, task.config.seed) == (6, 4) else done([task], error)[0]
            for task in tasks
        ]

    def error(hidden: int, seed: int) -> float:
        return 0.04 + (seed % 2) * (0.01 if hidden == 6 else 0)

    tasks = Rounds(rows).planned(look_up)
    assert names(tasks[9:]) == ["4/3", "6/3", "4/4", "6/4"]
    assert Rounds(rows).more(tasks) == []


def test_a_failed_run_holds_up_its_setting_and_those_that_are_compared_with_it(
    rows: list[Task],
) -> None:
    rounds = Rounds(rows)
    tasks = done(rounds.planned(list), lambda hidden, seed: 0.04 + seed * hidden / 100)
    for hidden, others in ((8, ["4/3", "6/3"]), (6, ["8/3", "4/3"]), (4, [])):
        failed = [
            replace(task, state=State.FAILED)
            if (task.config.hidden, task.config.seed) == (hidden, 1)
            else task
            for task in tasks
        ]
        assert names(rounds.more(failed)) == others


def test_there_are_no_more_than_the_most(rows: list[Task]) -> None:
    tasks = Rounds(rows).planned(
        lambda tasks: done(tasks, lambda hidden, seed: 0.04 + (seed % 2) * hidden / 100)
    )
    assert names(tasks) == [f"{hidden}/{seed}" for seed in range(6) for hidden in (8, 4, 6)]


def test_settings_of_a_paper_are_decided_each_by_itself(
    rows: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [PublishedResult(hidden, 0.04) for hidden in (4, 6, 8)]
    monkeypatch.setattr(published, "find", lambda _, n: (_paper(results), results[(n - 4) // 2]))
    rounds = Rounds(rows)
    assert rounds.tags == {"fae.decided_rows": "3"}
    spreads = {4: 0.001, 6: 1.0, 8: 0.001}
    tasks = done(rounds.planned(list), lambda n, seed: 0.04 + CLOSE[seed] * spreads[n])
    assert names(rounds.more(tasks)) == ["6/3"]


def _paper(results: Sequence[PublishedResult]) -> Paper:
    about: Mapping[str, str] = dict.fromkeys(("authors", "title", "institution", "note"), "")
    nothing: Sequence[Open] = ()
    return Paper(**about, date="2023-12-07", data="", settings={}, results=results, open=nothing)  # type: ignore[arg-type]


def test_the_sweep_says_what_a_report_needs_to_decide_as_it_did(rows: list[Task]) -> None:
    assert Rounds(rows).tags == {
        "fae.decided_rows": "2",
        "fae.first_row": rows[1].fingerprint,
    }


def test_a_sweep_is_the_same_with_more_seeds_and_another_with_another_tolerance(
    rows: list[Task],
) -> None:
    def identity(rows: Sequence[Task]) -> str:
        return parent_run.identity(Rounds(rows).identity)

    report = replace(rows[0].config.report, tolerance=0.01)
    more = [replace(task, config=replace(task.config, repeats_max=9)) for task in rows]
    closer = [replace(task, config=replace(task.config, report=report)) for task in rows]
    assert identity(more) == identity(rows) != identity(closer)
    assert identity(rows) != parent_run.identity(task.fingerprint for task in rows)


def test_about_one_setting_without_a_published_error_there_is_nothing_to_decide(
    rows: list[Task],
) -> None:
    with pytest.raises(ConfigError, match="repeats=auto: has nothing to decide"):
        Rounds([rows[0], rows[0]])


def test_what_does_not_go_with_rounds(tiny: Tiny) -> None:
    auto = row(tiny, "hidden=4")
    number = replace(auto, config=replace(auto.config, repeats=2))
    for tasks, message in (
        ([auto, number], "repeats: with repeats=auto must be the same for all"),
        ([auto, row(tiny, "seed=1")], "seed: with repeats=auto must be the same for all"),
        ([row(tiny, "sweep.detach=true")], "sweep.detach=true: not with repeats=auto, as"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_seeds(tasks)
    check_seeds([number, replace(number, config=replace(number.config, seed=3))])
    check_seeds([auto])
