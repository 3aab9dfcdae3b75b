"""Forecasts of runs, by what earlier ones took."""

import dataclasses
from collections.abc import Callable
from typing import cast

import pytest

from fae.config import Config
from fae.runs.task import Task, work
from fae.sweeps.forecast import forecast
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]


class Store:
    """What an estimate asks of an archive, in memory."""

    def __init__(self, *runs: StoredRun) -> None:
        self.stored = list(runs)

    def runs(
        self, _: str, *, newest: int, parameters: dict[str, object], **__: str
    ) -> list[StoredRun]:
        wanted = {key: str(value) for key, value in parameters.items()}
        alike = [r for r in self.stored if wanted.items() <= r.parameters.items()]
        return alike[-newest:]


def run(config: Config, fit_s: float, others_s: float = 0.0) -> StoredRun:
    tags = {"fae.work": str(work(config, config.epochs)), "fae.bytes": "9000"}
    metrics = {"time/fit_s": fit_s, "time/total_s": fit_s + others_s}
    parameters = {key: str(value) for key, value in config.parameters().items()}
    return StoredRun("id", "run", "FINISHED", 0, 1, parameters, metrics, tags)


def test_an_estimate_is_in_proportion_to_earlier_runs(tiny: Tiny) -> None:
    """Of which the median counts; what a run needs besides its training, each needs."""
    earlier = tiny("hidden=70", "epochs=2")
    known = Store(*(run(earlier, s, others_s=0.5) for s in (2.0, 3.0, 50.0)))
    tasks = [Task(tiny("hidden=170", "epochs=4"), []), Task(earlier, [])]
    found = forecast(tasks, cast("Archive", known))
    assert found is not None
    assert found.seconds == pytest.approx(3.0 * (4 * 200 / 200 + 1) + 2 * 0.5)
    assert found.bytes == pytest.approx(9000 * (190 / 90 + 1))
    assert str(dataclasses.replace(found, seconds=65.4, bytes=12.3e6)) == (
        "about 1 min 5 s and 12 MB by earlier runs here"
    )


@pytest.mark.parametrize(
    "other",
    ["data=digits", "data.side=9", "trainer.precision=bf16-mixed", "trainer.accelerator=gpu"],
)
def test_each_task_is_measured_by_runs_like_it(tiny: Tiny, other: str) -> None:
    unlike = tiny(other)
    known = [run(tiny(), 2.0), run(unlike, 30.0)]
    tasks = [Task(tiny(), []), Task(tiny("seed=1"), []), Task(unlike, [])]
    for asked in (tasks, tasks[::-1]):
        found = forecast(asked, cast("Archive", Store(*known)))
        assert found is not None
        assert found.seconds == pytest.approx(2 * 2.0 + 30.0)
        assert found.bytes == pytest.approx(3 * 9000)
        assert forecast(asked, cast("Archive", Store(known[0]))) is None


def test_grey_images_are_no_measure_of_colour(tiny: Tiny) -> None:
    colour, grey = tiny("data=cifar10"), tiny("data=cifar10", "data.grey=true")
    known = cast("Archive", Store(run(grey, 2.0)))
    assert forecast([Task(colour, [])], known) is None
    assert forecast([Task(grey, [])], known) is not None


def test_runs_that_did_next_to_nothing_tell_nothing(tiny: Tiny) -> None:
    short = run(tiny("trainer.limit_batches=1", "batch_size=10"), 1.0)
    tasks = [Task(tiny(), [])]
    assert forecast(tasks, cast("Archive", Store(short))) is None
    found = forecast(tasks, cast("Archive", Store(short, run(tiny(), 3.0))))
    assert found is not None
    assert found.seconds == pytest.approx(3.0)


def test_without_earlier_runs_there_is_none(tiny: Tiny) -> None:
    assert forecast([Task(tiny(), [])], None) is None
    assert forecast([Task(tiny(), [])], cast("Archive", Store())) is None
