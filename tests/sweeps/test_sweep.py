"""Sweeps: the tasks that are asked for, and the one error that several problems make."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast
from unittest.mock import Mock

import pytest
from conftest import NO_LOCAL

from fae.config import Config
from fae.drawing import looks
from fae.errors import FaeError, StoreError, TrainingError, UndeliveredError, VerdictError
from fae.runs.task import Known, State, Task
from fae.sweeps import sweep
from fae.sweeps.seeds import Repeats
from fae.sweeps.sweep import _raise, _retry, planned
from fae.sweeps.sweep_run import FailedRunsError, _colours, _known
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_hydras_prefixes_change_no_name_and_no_task(tiny: Tiny, prefix: str) -> None:
    """What is a job's own, or the sweep's, is dropped with any prefix."""
    given = ["seed=3", "repeats=2", "report.tolerance=0.1", "lr=0.1"]
    config = replace(tiny("seed=3", "lr=0.1"), repeats=2)
    task = Task(config, ["~report.fail_unless", *(prefix + override for override in given)])
    first, second = Repeats([task]).tasks
    assert [first.name, second.name] == ["hidden=4 seed=3", "hidden=4 seed=4"]
    assert second.overrides == [f"{prefix}lr=0.1", "seed=4", "repeats=1"]
    assert first.config == tiny("seed=3", "lr=0.1")


def test_all_first_seeds_come_before_second_ones_and_nothing_twice(tiny: Tiny) -> None:
    tasks = [Task(replace(tiny(f"seed={seed}"), repeats=2), [f"seed={seed}"]) for seed in (0, 1, 5)]
    assert [task.config.seed for task in Repeats(tasks).tasks] == [0, 1, 5, 2, 6]


@pytest.mark.parametrize(
    "more",
    [[], ["sweep.rerun=true"], ["++sweep.rerun=true", "sweep.retry_failed=true"]],
    ids=lambda more: " ".join(more) or "plain",
)
def test_the_command_that_retries_failed_runs_repeats_no_others(more: list[str]) -> None:
    asked = ["hidden=4,8", *more, "sweep.on_failure=stop"]
    command = "python -m fae.train -m hidden=4,8 sweep.on_failure=stop sweep.retry_failed=true"
    assert _retry(asked) == command


def test_names_leave_out_what_all_runs_share() -> None:
    given = ["experiment=smoke", "epochs=3", "hidden=4", "lr=0.5,0.123456789", "repeats=2"]
    assert [task.name for task in planned([NO_LOCAL, *given])] == [
        f"hidden=4 lr={lr} seed={seed}" for seed in (0, 1) for lr in ("0.5", "0.1235")
    ]
    assert [task.name for task in planned([NO_LOCAL, "hidden=4,8", "epochs=3"])] == [
        "hidden=4 seed=0",
        "hidden=8 seed=0",
    ]


@pytest.mark.parametrize("overrides", [["trainer.profiler=null,simple"], ["lr=0.5,0.50"]])
def test_of_runs_that_give_the_same_result_there_is_one(overrides: list[str]) -> None:
    assert len(planned([NO_LOCAL, "experiment=smoke", "hidden=4,4", *overrides])) == 1


def test_runs_have_the_colour_of_their_n_as_in_reports() -> None:
    """The order on the command line, the seed, and what is done already change none."""
    small, large = (look.colour for look in looks.in_order([4, 8]).values())
    tasks = planned([NO_LOCAL, "hidden=8,4", "repeats=2"])
    assert _colours(tasks, tasks) == [large, small] * 2
    assert _colours(tasks, tasks[1:]) == [small, large, small]


def test_runs_of_one_n_have_colours_of_their_own() -> None:
    tasks = planned([NO_LOCAL, "hidden=4", "lr=0.1,0.2", "repeats=2"])
    assert len(set(_colours(tasks, tasks))) == 4


class Sweeps:
    """What a sweep asks of an archive, in memory."""

    def __init__(self, *statuses: str) -> None:
        self.runs = [
            StoredRun(f"{number}" * 32, "sweep", status, 0, None, {}, {}, {})
            for number, status in enumerate(statuses)
        ]

    def alike(self, kind: str, fingerprints: Sequence[str]) -> dict[str, list[StoredRun]]:
        assert kind == "sweep"
        return {fingerprints[-1]: self.runs}


def test_the_newest_sweep_of_the_same_runs_is_resumed_unless_all_is_done(tiny: Tiny) -> None:
    new = Task(tiny(), [])
    done = replace(new, state=State.DONE)
    for statuses, tasks, state in (
        ([], [done], State.NEW),
        (["KILLED", "FINISHED"], [done, done], State.DONE),
        (["KILLED", "FINISHED"], [done, new], State.RESUMABLE),
        (["FINISHED", "FAILED"], [done, done], State.RESUMABLE),
    ):
        sweeps = Sweeps(*statuses)
        wanted = Known(state=state, run=sweeps.runs[-1] if statuses else None)
        assert _known(cast("Archive", sweeps), tasks, "") == wanted
    rerun = Task(tiny("sweep.rerun=true"), [])
    assert _known(cast("Archive", Sweeps("FINISHED")), [rerun], "") == Known()


def test_a_sweep_that_another_process_runs_is_not_resumed(tiny: Tiny) -> None:
    sweeps = Sweeps("RUNNING", "KILLED")
    found = _known(cast("Archive", sweeps), [Task(tiny(), [])], "")
    assert found == Known(state=State.RUNNING, run=sweeps.runs[0])


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


@pytest.mark.parametrize(
    ("problem", "is_registered"), [(StoreError("gone"), True), (VerdictError("worse"), False)]
)
def test_a_sweep_whose_report_fails_registers_its_best_network_unless_it_must_not_be_used(
    monkeypatch: pytest.MonkeyPatch, problem: FaeError, is_registered: bool
) -> None:
    registered: list[object] = []

    def fail(_: object) -> None:
        raise problem

    monkeypatch.setattr(sweep, "_report", fail)
    monkeypatch.setattr(sweep, "_register", registered.append)
    done = Mock(is_left=False, lacking=[], finish=lambda _: [])
    with pytest.raises(type(problem), match=str(problem)):
        sweep._finish(done, Mock())
    assert registered == [done] * is_registered
