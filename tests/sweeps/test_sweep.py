"""Sweeps: the tasks that are asked for, and the one error that several problems make."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fae.config import Config
from fae.errors import FaeError, TrainingError, UndeliveredError, VerdictError
from fae.runs.task import Task
from fae.sweeps.sweep import FailedRunsError, _raise, _repeat

Tiny = Callable[..., Config]


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_hydras_prefixes_change_no_name_and_no_task(tiny: Tiny, prefix: str) -> None:
    """What is a job's own, or the sweep's, is dropped with any prefix."""
    given = ["seed=3", "repeats=2", "report.tolerance=0.1", "lr=0.1"]
    config = replace(tiny("seed=3", "lr=0.1"), repeats=2)
    task = Task(config, ["~report.fail_unless", *(prefix + override for override in given)])
    first, second = _repeat([task])
    assert [first.name, second.name] == ["hidden=4 lr=0.1 seed=3", "hidden=4 lr=0.1 seed=4"]
    assert second.overrides == [f"{prefix}lr=0.1", "seed=4", "repeats=1"]
    assert first.config == tiny("seed=3", "lr=0.1")


def test_all_first_seeds_come_before_second_ones_and_nothing_twice(tiny: Tiny) -> None:
    tasks = [Task(replace(tiny(f"seed={seed}"), repeats=2), [f"seed={seed}"]) for seed in (0, 1, 5)]
    assert [task.config.seed for task in _repeat(tasks)] == [0, 1, 5, 2, 6]


def test_several_problems_are_one_error_and_failed_runs_count_most() -> None:
    failed, lacking = FailedRunsError("1 of 2 runs failed: a"), UndeliveredError("lacks")
    verdict = VerdictError("not so")
    for problems, kind in (
        ([verdict], VerdictError),
        ([lacking], UndeliveredError),
        ([verdict, lacking], UndeliveredError),
        ([failed, verdict, lacking], TrainingError),
    ):
        with pytest.raises(FaeError) as raised:
            _raise(problems)
        assert type(raised.value) is kind
        assert str(raised.value) == "\n".join(map(str, problems))
    _raise([])
