"""The chart of a search: each trial at its value, pruned ones hollow."""

from fae.runtime.intervals import estimate
from fae.tuning.charts import errors_by_value
from fae.tuning.results import SearchResult
from fae.tuning.space import Range
from fae.tuning.study import FinishedTrial

RATES = Range(key="lr", low=2e-3, high=30, log=True)
DROPOUT = Range(key="dropout", low=0.0, high=0.5, log=False)


def result(hidden: int, *trials: FinishedTrial) -> SearchResult:
    return SearchResult("name", hidden, (RATES,), trials[0], [*trials], estimate([1]), [], 0, {})


def trial(value: float, error: float | None, *, pruned: bool = False) -> FinishedTrial:
    return FinishedTrial(0, {"lr": value, "dropout": value}, error, pruned)


def test_each_n_has_a_look_and_pruned_trials_are_hollow() -> None:
    trials = trial(1.0, 0.1), trial(2.0, 0.3, pruned=True), trial(3.0, None)
    chart = errors_by_value([result(8, *trials), result(64, *trials)], RATES, "sgd")
    assert (chart.name, chart.x.label) == ("sgd_by_lr", "learning rate")
    assert chart.x.ticks == [2e-3, 1e-2, 1e-1, 1, 10, 30]
    *points, key = chart.series
    assert [(s.label, s.kind, s.x, s.y) for s in points] == [
        ("n = 8", "points", [1.0], [0.1]),
        ("", "hollow", [2.0], [0.3]),
        ("n = 64", "points", [1.0], [0.1]),
        ("", "hollow", [2.0], [0.3]),
    ]
    assert points[0].look == points[1].look != points[2].look
    assert points[0].shift == points[1].shift == -points[2].shift
    assert (key.label, key.kind, key.x) == ("pruned", "hollow", [])


def test_without_pruned_trials_none_are_explained() -> None:
    chart = errors_by_value([result(8, trial(0.2, 0.1))], DROPOUT)
    assert (chart.x.log, chart.x.ticks) == (False, [])
    assert [series.label for series in chart.series if series.x] == ["n = 8"]
    assert "pruned" not in {series.label for series in chart.series}
