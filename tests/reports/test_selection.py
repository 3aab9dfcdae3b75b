"""Which runs a report is about."""

import math
from collections.abc import Mapping
from typing import Any, cast

import pytest
import yaml
from records import CURVE, exported, record, training

from fae.config import TrainingConfig
from fae.errors import ConfigError, StoreError
from fae.reports.selection import Selection, SequentialDesign, select
from fae.runs.build import build_network
from fae.tracking.archive import Archive, UnreadableError
from fae.tracking.stored_run import StoredRun

DIGEST = training().data.build().digest


class Store:
    """What ``select`` asks of an archive, in memory."""

    uri = "sqlite:///here.db"

    def __init__(self, *runs: StoredRun) -> None:
        self._runs = runs

    def runs(self, kind: str) -> list[StoredRun]:
        return [run for run in self._runs if run.tags["fae.kind"] == kind]

    def runs_of(self, sweep: StoredRun) -> list[StoredRun]:
        return [r for r in self.runs("run") if r.tags["mlflow.parentRunId"] == sweep.id]

    def run(self, run_id: str) -> StoredRun:
        (found,) = (run for run in self._runs if run.id == run_id)
        return found

    def text(self, run: StoredRun, path: str, largest: int) -> str:
        if run.tags.get("fae.lacks") == "config":
            raise UnreadableError(run, f"{path} cannot be read (gone)")
        return yaml.safe_dump(self._config(run).plain())

    def _config(self, run: StoredRun) -> TrainingConfig:
        values = {name: yaml.safe_load(value) for name, value in run.parameters.items()}
        return training(**values)

    def epochs(self, run: StoredRun) -> list[dict[str, float]]:
        return [{"train/mse": train, "val/mse": val} for train, val in CURVE]

    def model(self, run: StoredRun, largest: int) -> bytes:
        model = exported(build_network(self._config(run)))
        return model[:900] if run.tags.get("fae.lacks") == "model" else model

    reading = Archive.reading


def run(
    run_id: str,
    hidden: int = 64,
    seed: int = 0,
    *,
    parent: str = "first-sweep",
    started: int = 0,
    status: str = "FINISHED",
    metrics: Mapping[str, float] | None = None,
    **tags: str,
) -> StoredRun:
    parameters = {"hidden": str(hidden), "seed": str(seed), "lr": "0.001"}
    named = {f"fae.{name}": tag for name, tag in {"data_digest": DIGEST, **tags}.items()}
    all_tags = {"fae.kind": "run", "mlflow.parentRunId": parent, **named}
    found = {"test/mse": 0.04, "time/fit_s": 1.0} if metrics is None else metrics
    return StoredRun(
        run_id, f"run {run_id}", status, started, started + 1, parameters, found, all_tags
    )


def sweep(run_id: str, name: str, **tags: str) -> StoredRun:
    named = {f"fae.{name}": tag for name, tag in tags.items()}
    return StoredRun(run_id, name, "FINISHED", 0, 1, {}, {}, {"fae.kind": "sweep", **named})


FIRST, SECOND = sweep("first-sweep", "hidden=64,128"), sweep("second-sweep", "hidden=8")
RUNS = [run("a"), run("b", 128), run("c", 8, parent="second-sweep"), run("d", 64, 7, parent="")]


def chosen(*runs: StoredRun, sweeps: tuple[str, ...] = (), where: str | None = None) -> Selection:
    return select(cast("Archive", Store(*runs)), sweeps, where)


def ids(selection: Selection) -> list[str]:
    return [run.id for run in selection.runs]


@pytest.mark.parametrize(
    ("sweeps", "where", "expected", "name"),
    [
        ((), None, ["c"], "hidden=8"),
        (("hidden=64,128",), None, ["a", "b"], "hidden=64,128"),
        (("first-sw",), None, ["a", "b"], "hidden=64,128"),
        (("first-sweep", "hidden=8"), None, ["a", "b", "c"], "hidden=64,128 + hidden=8"),
        ((), "hidden=64", ["a", "d"], "hidden=64"),
        ((), "hidden=64,8 seed=0", ["a", "c"], "hidden=64,8 seed=0"),
        ((), "lr=1e-3 seed=7", ["d"], "lr=1e-3 seed=7"),
        ((), "optimizer.momentum=0 hidden=8", ["c"], "optimizer.momentum=0 hidden=8"),
        ((), "momentum=0 nesterov=false", [*"abcd"], "momentum=0 nesterov=false"),
        (("hidden=64,128",), "hidden=128", ["b"], "hidden=64,128 + hidden=128"),
        ((), "run=b,d", ["b", "d"], "run=b,d"),
        ((), "hidden=64 run=d", ["d"], "hidden=64 run=d"),
    ],
)
def test_runs_are_chosen(
    sweeps: tuple[str, ...], where: str | None, expected: list[str], name: str
) -> None:
    selection = chosen(FIRST, SECOND, *RUNS, sweeps=sweeps, where=where)
    assert ids(selection) == expected
    assert selection.name == name
    assert (selection.sweep is not None) == (len(sweeps) < 2 and where is None)


def test_of_two_sweeps_of_a_name_the_newest_is_meant() -> None:
    again = sweep("again", FIRST.name)
    selection = chosen(FIRST, again, run("a"), run("b", parent="again"), sweeps=(FIRST.name,))
    assert ids(selection) == ["b"]


@pytest.mark.parametrize("sweeps", [("first", "second"), ("second", "first"), ("second",) * 2])
def test_the_newest_run_counts_whichever_sweep_is_named_first(sweeps: tuple[str, str]) -> None:
    known = sweep("first-sweep", "first"), sweep("second-sweep", "second")
    runs = run("old"), run("new", parent="second-sweep", started=5)
    assert ids(chosen(*known, *runs, sweeps=sweeps)) == ["new"]
    assert len(chosen(*known, *runs, sweeps=sweeps).excluded) == len(set(sweeps)) - 1


@pytest.mark.parametrize(
    ("sweeps", "where", "message"),
    [
        (("nope",), None, r"sweep=nope: no such sweep; the latest are hidden=8 \(second-s\)"),
        (("irst",), None, "sweep=irst: no such sweep"),
        (("f",), None, r"sweep=f: 2 sweeps have ids that begin so: hidden=16 \(fifth-sw"),
        (("hidden=16",), None, "sweep=hidden=16: none of its runs is in the store"),
        ((), "width=3", "where=width=3: no parameter width; choose from hidden, lr, seed"),
        ((), "hidden", "where=hidden: must be conditions like hidden=64,128 optimizer=adam"),
        ((), "hidden=9", "where=hidden=9: no run matches"),
        ((), "run=e", "where=run=e: no run matches"),
        ((), "run=", "where=run=: must be conditions like"),
        ((), "momentum=0.9", "where=momentum=0.9: no run matches"),
        ((), "name=sgd", "name may be data.name or model.name or optimizer.name; write one"),
    ],
)
def test_a_wrong_choice_is_named(sweeps: tuple[str, ...], where: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(FIRST, sweep("fifth-sweep", "hidden=16"), SECOND, *RUNS, sweeps=sweeps, where=where)


def test_an_empty_store_and_one_without_sweeps_are_told_apart() -> None:
    with pytest.raises(StoreError, match="no run of fae is stored there"):
        chosen()
    with pytest.raises(ConfigError, match="only single runs; select some of them"):
        chosen(run("a", parent=""))


def test_runs_that_do_not_count_are_excluded_with_the_reason() -> None:
    runs = [
        run("old", seed=1),
        run("dead", status="RUNNING"),
        run("stopped", status="KILLED"),
        run("lost", status="FAILED", error="loss is nan\nmore"),
        run("dumb", status="FAILED"),
        run("bare", metrics={}),
        run("new", seed=1),
        run("good", seed=2),
    ]
    selection = chosen(FIRST, *runs)
    assert ids(selection) == ["new", "good"]
    assert [run.id for run in selection.excluded if run.replaced] == ["old"]
    assert {run.id: run.reason for run in selection.excluded} == {
        "dead": "still running, or crashed",
        "stopped": "interrupted",
        "lost": "failed: loss is nan",
        "dumb": "failed: no reason stored",
        "bare": "finished without test error or time",
        "old": "replaced by new, newer, of the same configuration",
    }


def test_a_run_that_failed_several_times_is_lacking_once() -> None:
    def attempt(run_id: str, seed: int, status: str = "FAILED") -> StoredRun:
        return run(run_id, seed=seed, status=status, fingerprint=f"of seed {seed}")

    first = sweep("first-sweep", "first", planned="5")
    runs = [attempt("a", 1), attempt("b", 1, "KILLED"), attempt("c", 2), run("good", seed=3)]
    selection = chosen(first, *runs)
    assert (len(selection.excluded), selection.missing, selection.lacking) == (3, 2, 4)
    assert chosen(first, *runs, attempt("d", 1, "FINISHED")).lacking == 3


@pytest.mark.parametrize("lacks", ["config", "model"])
def test_a_run_that_cannot_be_read_is_excluded_and_the_others_count(lacks: str) -> None:
    selection = chosen(FIRST, run("good"), run("bad", seed=1, lacks=lacks), run("fine", seed=2))
    assert ids(selection) == ["good", "fine"]
    (excluded,) = selection.excluded
    assert (excluded.id, excluded.replaced) == ("bad", False)
    assert lacks in excluded.reason.partition(" cannot be read (")[0]


def test_of_runs_that_are_the_same_the_newest_that_can_be_read_counts() -> None:
    runs = [run("old"), run("new", started=5, lacks="model", fingerprint="x")]
    selection = chosen(FIRST, *runs)
    assert ids(selection) == ["old"]
    assert [run.id for run in selection.excluded] == ["new"]


def test_a_run_that_is_repeated_keeps_its_place() -> None:
    runs = run("old"), run("other", 128, started=1), run("new", started=2)
    assert ids(chosen(FIRST, *runs)) == ["new", "other"]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("test/mse", math.nan),
        ("test/mse", -1.0),
        ("test/mse", 9e99),
        ("time/fit_s", 0.0),
        ("weights/dead_units", 0.5),
        ("weights/dead_units", 65.0),
        ("weights/dead_units", math.inf),
        ("weights/count", math.nan),
        ("weights/count", -1.0),
        ("weights/count", 0.5),
        ("weights/count", 1e300),
    ],
)
def test_a_run_with_a_number_that_is_not_possible_is_excluded(metric: str, value: float) -> None:
    odd = run("odd", seed=1, metrics={"test/mse": 0.04, "time/fit_s": 1.0, metric: value})
    selection = chosen(FIRST, run("good"), odd)
    assert ids(selection) == ["good"]
    assert [run.reason for run in selection.excluded] == [f"{metric}={value:g} is not possible"]


def test_a_number_of_planned_runs_that_is_none_is_passed_over() -> None:
    for planned in ("many", "-3", "9" * 5000, "1e9", ""):
        assert chosen(sweep("first-sweep", "first", planned=planned), run("a")).missing == 0


def test_planned_runs_that_are_not_there_are_counted() -> None:
    first = sweep("first-sweep", "first", planned="5")
    second = sweep("second-sweep", "second", planned="2")
    runs = [run("a"), run("b", 128)]
    assert chosen(first, *runs).missing == 3
    assert chosen(FIRST, run("a")).missing == 0
    assert chosen(first, second, *runs, sweeps=("first", "second")).missing == 5
    assert chosen(first, *runs, where="hidden=64").missing == 0


def test_whether_the_number_of_seeds_followed_from_their_results() -> None:
    """Of a sweep, or of one in which runs are nested that are chosen by their settings."""
    first = sweep("first-sweep", "first", decided_rows="3", first_row="print")
    other = sweep("second-sweep", "second")
    runs = [run("a"), run("b", 128), run("c", 8, parent="second-sweep")]
    assert chosen(first, *runs).rounds == SequentialDesign(3, "print")
    assert chosen(first, *runs, where="hidden=64").rounds == SequentialDesign(3, "print")
    assert chosen(first, other, *runs, where="hidden=8").rounds is None
    assert chosen(first, other, *runs, sweeps=("second",)).rounds is None
    both = chosen(first, other, *runs, sweeps=("first", "second"))
    assert (both.rounds, both.decisions) == (SequentialDesign(3), 3)


def test_a_number_of_decisions_that_is_none_is_that_of_the_settings() -> None:
    for number in ("many", "-3", "0", "9" * 5000, "1e9", ""):
        found = chosen(sweep("first-sweep", "first", decided_rows=number), run("a"), run("b", 128))
        assert found.decisions == 2


def titles(*choices: dict[str, Any]) -> list[str]:
    records = [record(hidden, 0, 0.1, **others) for hidden, others in map(_split, choices)]
    return [setting.title for setting in Selection("", None, records, []).settings]


def _split(choices: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return choices["hidden"], {k: v for k, v in choices.items() if k != "hidden"}


def test_a_title_tells_what_varies() -> None:
    assert titles({"hidden": 64}) == ["n = 64"]
    assert titles({"hidden": 128, "lr": 0.5}, {"hidden": 64, "lr": 0.5}) == ["n = 64", "n = 128"]
    assert titles({"hidden": 64, "lr": 0.5}, {"hidden": 64, "lr": 0.1}) == [
        "n = 64 lr=0.5",
        "n = 64 lr=0.1",
    ]


def test_a_title_rounds_a_float_unless_others_would_look_the_same() -> None:
    rates = 22.573731189131195, 0.36280863627581605
    assert titles(*({"hidden": 64, "lr": rate} for rate in rates)) == [
        "n = 64 lr=22.57",
        "n = 64 lr=0.3628",
    ]
    rates = 0.123456, 0.123457
    assert titles(*({"hidden": 64, "lr": rate} for rate in rates)) == [
        "n = 64 lr=0.123456",
        "n = 64 lr=0.123457",
    ]


def test_a_title_has_no_size_that_follows_from_the_data_set() -> None:
    digits = {"hidden": 8, "data__name": "digits", "data__train": 1200}
    synthetic = {"hidden": 8, "data__name": "synthetic", "data__train": 2000}
    assert titles(digits, synthetic) == ["n = 8 data=digits", "n = 8 data=synthetic"]
    assert titles(digits, {**synthetic, "hidden": 4}, {**synthetic, "data__train": 9}) == [
        "n = 4 data=synthetic data.train=2000",
        "n = 8 data=digits data.train=1200",
        "n = 8 data=synthetic data.train=9",
    ]


def test_what_only_one_optimizer_has_is_not_in_the_title() -> None:
    sgd = {"hidden": 64, "lr": 0.5, "optimizer__name": "sgd", "optimizer__momentum": 0.0}
    adam = {"hidden": 64, "lr": 0.001, "optimizer__name": "adam", "optimizer__eps": 1e-8}
    assert titles(sgd, adam) == ["n = 64 lr=0.5 optimizer=sgd", "n = 64 lr=0.001 optimizer=adam"]
    assert titles(sgd, {**sgd, "optimizer__momentum": 0.9}) == [
        "n = 64 optimizer.momentum=0.0",
        "n = 64 optimizer.momentum=0.9",
    ]


def test_what_only_some_settings_know_tells_them_apart_where_nothing_else_does() -> None:
    old = {"hidden": 64, "lr": 0.5}
    assert titles(old, {**old, "model__tied": False}) == [
        "n = 64 model.tied=unset",
        "n = 64 model.tied=False",
    ]


def test_a_run_on_images_that_are_not_at_hand_or_not_known_is_excluded() -> None:
    without = run("b", seed=1)
    del without.tags["fae.data_digest"]  # type: ignore[attr-defined]
    selection = chosen(FIRST, run("good"), run("a", seed=1, data_digest="None"), without)
    assert ids(selection) == ["good"]
    assert [run.reason for run in selection.excluded] == [
        f"its images (digest {digest}) differ from those here ({DIGEST})"
        for digest in ("'None'", "None")
    ]


def test_seeds_of_a_setting_stand_together_in_order() -> None:
    records = [record(64, 2, 0.1), record(128, 0, 0.1), record(64, 1, 0.1)]
    settings = Selection("", None, records, []).settings
    assert {s.title: [run.seed for run in s.runs] for s in settings} == {
        "n = 64": [1, 2],
        "n = 128": [0],
    }
