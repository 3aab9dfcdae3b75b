"""What a report reads of a trained run."""

from typing import cast

import pytest
import yaml
from records import record, stored, training

from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun


class Store:
    """An archive that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def text(self, run: StoredRun, path: str, largest: int) -> str:
        self.reads += 1
        return yaml.safe_dump(training(hidden=4, seed=7).plain())

    reading = Archive.reading


def test_what_a_run_stored_is_read_when_it_is_needed_and_once() -> None:
    store = Store()
    run = TrainedRun.of(stored("a", status="FAILED"), cast(Archive, store))
    assert (run.id, run.status, store.reads) == ("a", "FAILED", 0)
    assert (run.seed, run.config_key["hidden"]) == (7, 4)
    assert "seed" not in run.config_key
    assert store.reads == 1


@pytest.mark.parametrize("metrics", [{"weights/count": 580.0}, {}], ids=["stored", "earlier"])
def test_parameters_are_stored_or_counted(metrics: dict[str, float]) -> None:
    run = TrainedRun.of(stored(metrics=metrics), cast(Archive, Store()))
    assert run.parameter_count == 2 * 64 * 4 + 4 + 64


def test_with_early_stopping_the_best_epoch_was_tested() -> None:
    curve = [(0.5, 0.5), (0.1, 0.2), (0.3, 0.4)]
    assert record(64, 0, 0.2, curve=curve).tested == {"train/mse": 0.3, "val/mse": 0.4}
    best = record(64, 0, 0.2, curve=curve, early_stopping=2).tested
    assert best == {"train/mse": 0.1, "val/mse": 0.2}
