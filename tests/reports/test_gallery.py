"""Galleries: which networks are pictured, and what is said of their weights."""

import numpy as np
import pytest
import torch
from conftest import NO_LOCAL
from records import record
from torch import nn

from fae.cli.compose import compose
from fae.reports.gallery import _first_weights, _noise, gallery, pictured
from fae.reports.settings import Setting, group
from fae.runs.build import build


def smoke() -> Setting:
    """A setting of one run that was not trained at all."""
    config = compose(NO_LOCAL, "experiment=smoke", "hidden=100", "seed=3")
    run = record(100, 3, 0.04, data="synthetic")
    _, learner = build(config, config.data.build())
    vars(run)["network"] = learner.network.eval()
    return Setting(100, {}, [run])


def test_all_of_an_untrained_network_is_noise_and_nothing_of_another() -> None:
    (run,) = smoke().runs
    before = torch.random.get_rng_state()
    weights = run.network.state_dict()["encoder.weight"]
    assert _noise(run, "encoder.weight", weights) == pytest.approx(1)
    assert _noise(run, "encoder.weight", -3 * weights) == pytest.approx(1)
    assert _noise(run, "encoder.weight", torch.randn(weights.shape)) < 0.01
    assert torch.equal(torch.random.get_rng_state()[:8], before[:8])


def test_units_stand_by_decreasing_norm_64_of_them() -> None:
    setting = smoke()
    data_set = setting.runs[0].config.data.build()
    made = gallery(setting, "n = 100", data_set, data_set.test())
    assert (made.title, made.units, made.test, made.dead) == ("n = 100", 100, 0.04, 1)
    norms = np.linalg.norm(made.weights, axis=1)
    assert len(norms) == 64
    assert (np.diff(norms) <= 0).all()
    every = setting.runs[0].network.state_dict()["encoder.weight"].norm(dim=1)
    assert (norms[0], norms[-1]) == pytest.approx((every.max().item(), every.min().item()))


@pytest.mark.parametrize(
    ("layers", "name", "shape"),
    [
        ([nn.BatchNorm1d(64), nn.Linear(64, 5)], "1.weight", (5, 64)),
        ([nn.Conv2d(3, 7, 4)], "0.weight", (7, 48)),
        ([nn.Conv2d(1, 7, (2, 3)), nn.Conv2d(7, 5, 3)], "", (0, 1)),
        ([nn.Linear(16, 25)], "", (0, 1)),
    ],
)
def test_weights_are_shown_where_they_are_images(
    layers: list[nn.Module], name: str, shape: tuple[int, int]
) -> None:
    (run,) = smoke().runs
    vars(run)["network"] = nn.Sequential(*layers)
    found, weights = _first_weights(run)
    assert (found, weights.shape) == (name, shape)


def test_a_network_without_such_weights_has_a_gallery_all_the_same() -> None:
    setting = smoke()
    data_set = setting.runs[0].config.data.build()
    vars(setting.runs[0])["network"] = nn.Identity()
    made = gallery(setting, "n = 100", data_set, data_set.test())
    assert (made.weights.shape, made.units, made.noise) == ((0, 1), 0, 0.0)
    assert len(made.panel.originals) == 10


def test_the_best_is_none_of_the_darker_half() -> None:
    setting = smoke()
    data_set = setting.runs[0].config.data.build()
    images = data_set.test()
    squares = np.square(images.as_floats().pixels.numpy()).mean(axis=1)
    shown = gallery(setting, "", data_set, images).extremes
    assert [example.label for example in shown] == ["best", "median", "worst"]
    assert shown[0].error <= shown[1].error <= shown[2].error
    for example in shown:
        assert np.square(example.original).mean() >= np.median(squares) - 1e-6


def test_networks_are_grouped_by_what_distinguishes_them_besides_n() -> None:
    runs = [record(n, 0, 0.04, optimizer__name=name) for n in (64, 128) for name in ("sgd", "adam")]
    assert [setting.title for setting in pictured(group(runs))] == [
        "n = 64 optimizer=sgd",
        "n = 128 optimizer=sgd",
        "n = 64 optimizer=adam",
        "n = 128 optimizer=adam",
    ]
