"""What a report leaves in the store for its sweep."""

from dataclasses import replace

import pytest
from records import record, stored, summary

from fae.reports.outcome import LONGEST_NOTE, outcome, view_of
from fae.reports.selection import Selection
from fae.runs.stored import TrainedRun

PAPER = {64: 0.0414, 128: 0.0328, 256: 0.0274, 512: 0.0240}


def reproduced() -> list[TrainedRun]:
    """Runs of the paper's settings that reproduce it, three seeds each."""
    return [
        record(hidden, seed, error * (1 + 0.001 * seed))
        for hidden, error in PAPER.items()
        for seed in (0, 1, 2)
    ]


def selected(records: list[TrainedRun], **others: object) -> Selection:
    return replace(Selection("name", None, records, []), **others)  # type: ignore[arg-type]


def test_the_sweep_gets_the_error_for_each_n_and_the_lowest() -> None:
    records = [record(64, 0, 0.05), record(64, 1, 0.03), record(64, 0, 0.02, lr=0.1)]
    records += [record(8, 0, 0.09)]
    found = outcome(selected(records), summary(*records))
    assert sorted(found.metrics) == [
        ("finished_runs", 0, 4),
        ("test/lowest_mse", 0, 0.02),
        ("test/mse", 8, 0.09),
        ("test/mse", 64, 0.02),
    ]
    assert found.time == 1000
    assert "n = 64" in found.note


def test_the_verdict_is_reproduced_only_if_all_is() -> None:
    records = reproduced()
    whole = summary(*records)
    assert outcome(selected(records), whole).tags == {"fae.verdict": "reproduced"}
    lacking = replace(whole, incomplete=True)
    assert outcome(selected(records), lacking).tags["fae.verdict"] == "4 reproduced, 1 incomplete"
    more = [*records, record(8, 0, 0.09)]
    assert outcome(selected(more), summary(*more)).tags == {
        "fae.verdict": "4 reproduced, 1 not in the paper"
    }


def test_a_table_that_is_too_long_for_the_description_is_pointed_at() -> None:
    records = [record(hidden, 0, 0.05) for hidden in range(1, 200)]
    note = outcome(selected(records), summary(*records)).note
    assert len(note) < LONGEST_NOTE
    assert "The table of 199 settings is among the artifacts" in note


@pytest.mark.parametrize("parent", ["sweep", "another"])
def test_the_view_shows_all_runs_of_the_sweep_or_just_those_of_the_report(parent: str) -> None:
    runs = [
        record(
            hidden,
            0,
            0.05,
            run=replace(
                stored(f"run{hidden}"),
                tags={
                    "mlflow.parentRunId": "sweep" if hidden == 8 else parent,
                },
                parameters={"hidden": str(hidden), "lr": "0.5", "seed": "0"},
            ),
        )
        for hidden in (8, 16)
    ]
    made = view_of(selected(runs, sweep=stored("sweep")))
    if parent == "sweep":
        assert made.shown == "tags.`mlflow.parentRunId` = 'sweep'"
    else:
        assert made.shown == "attributes.run_id IN ('run8', 'run16')"
    assert made.columns[:3] == ["params.hidden", "params.lr", "params.optimizer"]
    assert "params.seed" not in made.columns
