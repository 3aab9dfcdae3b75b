"""What is found inside networks of each family, and by which images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NO_LOCAL
from inner import Known, inputs, run_of
from records import record, training

from fae.analysis import exploration, probe
from fae.analysis.exploration import explore, inputs_of
from fae.analysis.probe import Probe
from fae.cli.compose import compose
from fae.data.images import split_at_random
from fae.runs.build import build_network
from fae.runtime.proportions import Proportion


def test_a_network_is_explored_by_its_codes() -> None:
    """Of twelve images the first pixel, and so the codes, tells the class; PCA does not here."""
    found = explore(run_of(Known(1), hidden=1), "n = 1", inputs())
    assert found.probe
    assert found.probe.codes == Proportion(12, 12)
    assert found.probe.pca.count < 12
    assert found.space.positions[::2, 0] == pytest.approx([found.space.positions[0, 0]] * 6)
    assert [*found.groups] == ["<b>dark</b>", "bright"]
    assert [each.title for each in found.interpolations] == ["<b>dark</b> to bright"] * 5
    assert len(found.samples) == 0


def test_without_classes_there_is_no_probe() -> None:
    found = explore(run_of(Known(2)), "n = 2", inputs(("image",)))
    assert found.probe is None
    assert [*found.groups] == ["image"]
    exploration.keep(found)  # nothing


def test_a_stored_probe_is_read_and_nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    run, given = run_of(Known(2)), inputs()
    assert given.labels
    metrics = {**run.metrics, probe.CODES: 0.25, probe.PCA: 0.5}
    vars(run).update(metrics=metrics, tags={probe.TAG: given.labels.method})
    monkeypatch.setattr(probe, "fit", None)
    found = explore(run, "n = 2", given)
    assert found.probe == Probe(Proportion(3, 12), Proportion(6, 12))


@pytest.mark.parametrize("hidden", [1, 2, 5])
@pytest.mark.parametrize("model", ["autoencoder", "deep", "tied", "variational", "convolutional"])
def test_each_family_can_be_explored(model: str, hidden: int, tmp_path: Path) -> None:
    config = compose(NO_LOCAL, "experiment=smoke").data
    run = record(hidden, 0, 0.04, data="synthetic")
    of = compose(NO_LOCAL, "experiment=smoke", f"model={model}").model
    vars(run)["config"] = training(hidden=hidden, model=of)
    torch.manual_seed(0)
    vars(run)["network"] = build_network(run.config).eval()
    found = explore(run, "n", inputs_of(config.build(), config, hidden, tmp_path))
    assert found.probe
    assert found.probe.codes.n == found.probe.pca.n == config.test  # type: ignore[attr-defined]
    assert len(found.interpolations) == 5
    assert len(found.samples) == (20 if model == "variational" else 0)


def test_images_are_drawn_by_a_seed_and_the_training_images_are_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploration, "SHOWN", 7)
    monkeypatch.setattr(exploration, "FITTED", 50)
    config = compose(NO_LOCAL, "experiment=smoke").data
    data_set = config.build()
    found, again = (inputs_of(data_set, config, 3, tmp_path) for _ in range(2))
    every, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    known = {image.numpy().tobytes() for image in every.pixels}
    assert len(found.train) == 50
    assert all(image.numpy().tobytes() in known for image in found.train.pixels)
    assert len(found.shown) == 7
    assert (np.diff(found.shown) > 0).all()
    assert torch.equal(found.train.pixels, again.train.pixels)
    assert found.shown.tolist() == again.shown.tolist()
    assert found.labels
    assert found.labels.most == int(every.labels.bincount().argmax())
    assert found.linear
    assert [part.shape for part in found.linear] == [(50, 3), (len(found.test), 3)]
