"""The linear probe: what it tells, and how its accuracies are kept."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient

from fae.analysis import probe
from fae.analysis.probe import CODES, PCA, TAG, Labels, Probe
from fae.config import Config
from fae.runs.job import Job
from fae.runs.run import train
from fae.runs.stored import TrainedRun
from fae.runtime.proportions import Proportion
from fae.tracking.archive import Archive

OF = np.array([0, 0, 0, 1, 1, 2] * 10)
LABELS = Labels(OF, OF, 0)


def test_classes_on_lines_of_their_own_are_all_told() -> None:
    codes = np.eye(3, dtype=np.float32)[OF]
    assert probe.fit((codes, codes), LABELS) == Proportion(60, 60)


def test_codes_that_say_nothing_are_as_good_as_the_best_guess() -> None:
    codes = np.full((60, 4), 3, np.float32)
    assert probe.fit((codes, codes), LABELS) == Proportion(30, 60)
    assert LABELS.chance == Proportion(30, 60)


def test_the_best_guess_is_the_most_frequent_class_in_training() -> None:
    assert Labels(OF, np.array([0, 1, 1, 2]), 0).chance == Proportion(1, 4)


def test_neither_a_rotation_nor_a_scale_nor_a_shift_changes_it() -> None:
    random = np.random.default_rng(0)
    train, test = (random.normal(size=(60, 5)) + OF[:, None] * [1, 0, 0, 0, 0.3] for _ in "ab")
    rotation, _ = np.linalg.qr(random.normal(size=(5, 5)))
    turned = tuple((1000 * part @ rotation + 7).astype(np.float32) for part in (train, test))
    straight = tuple(part.astype(np.float32) for part in (train, test))
    first, second = (probe.fit((each[0], each[1]), LABELS) for each in (straight, turned))
    assert first == second
    assert 30 < first.count < 60


@pytest.fixture(scope="module")
def labels() -> Labels:
    return LABELS


@pytest.fixture
def run(tiny: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    config = tiny("hidden=4", "epochs=1", "sweep.rerun=true")
    result = train(config, Job("probed", tmp_path_factory.mktemp("run"), ""))
    return TrainedRun.find(result.run_id, Archive(config.tracking))


def test_it_is_stored_once_and_read_again(run: TrainedRun, client: MlflowClient) -> None:
    found = Probe(Proportion(41, 60), Proportion(17, 60))
    assert probe.stored(run, LABELS) is None
    probe.store(run, found, LABELS)
    again = TrainedRun.find(run.id, run.archive)
    assert again.metrics[CODES] == 41 / 60
    assert again.metrics[PCA] == 17 / 60
    assert again.tags[TAG] == LABELS.method
    assert again.status == "FINISHED"
    assert probe.stored(again, LABELS) == found
    probe.store(again, found, LABELS)
    assert len(client.get_metric_history(run.id, CODES)) == 1


def test_one_that_was_fitted_otherwise_is_replaced(run: TrainedRun) -> None:
    fewer = Labels(OF[:30], OF, 0)
    probe.store(run, Probe(Proportion(59, 60), Proportion(59, 60)), fewer)
    run = TrainedRun.find(run.id, run.archive)
    assert probe.stored(run, LABELS) is None
    probe.store(run, Probe(Proportion(3, 60), Proportion(2, 60)), LABELS)
    run = TrainedRun.find(run.id, run.archive)
    assert probe.stored(run, LABELS) == Probe(Proportion(3, 60), Proportion(2, 60))


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan"), float("inf"), 0.51234])
def test_a_stored_value_that_cannot_be_is_computed_again(run: TrainedRun, value: float) -> None:
    metrics = {**run.metrics, CODES: value, PCA: 0.5}
    tampered = replace(run, metrics=metrics, tags={**run.tags, TAG: LABELS.method})
    assert probe.stored(tampered, LABELS) is None
    whole = replace(tampered, metrics={**metrics, CODES: 0.5})
    assert probe.stored(whole, LABELS) == Probe(Proportion(30, 60), Proportion(30, 60))
