"""Runs that start from the weights of a stored one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Cli

from fae.config import Config
from fae.errors import ConfigError
from fae.runs.build import build_network
from fae.runs.fingerprint import fingerprint
from fae.runs.initial_weights import start_from_stored
from fae.runs.job import Job
from fae.runs.run import Result, train
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive

Tiny = Callable[..., Config]


@pytest.fixture
def tiny(tiny: Tiny, tmp_path: Path) -> Tiny:
    """Configurations in an experiment of their own."""
    return lambda *overrides: tiny(f"tracking.experiment={tmp_path.name}", *overrides)


@pytest.fixture
def first(tiny: Tiny, tmp_path: Path) -> Result:
    return train(tiny("epochs=1"), Job("first", tmp_path / "first", ""))


def test_it_begins_with_these_weights_and_says_whose_they_are(
    tiny: Tiny, tmp_path: Path, first: Result
) -> None:
    config = tiny("epochs=1", "lr=1e-9", f"model.weights='{first.run_id[:8]}'")
    second = train(config, Job("second", tmp_path / "second", ""))
    archive = Archive(config.tracking)
    stored = [TrainedRun.of(archive.run(run.run_id), archive) for run in (first, second)]
    before, after = (run.network.state_dict() for run in stored)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert stored[1].tags["fae.weights"] == first.run_id
    assert stored[1].parameters["weights"] == first.run_id
    assert fingerprint(config) != fingerprint(tiny("epochs=1", "lr=1e-9"))


def test_two_beginnings_of_an_id_name_one_result(tiny: Tiny, tmp_path: Path, first: Result) -> None:
    names = {"a": first.run_id[:8], "b": first.run_id}
    results = [
        train(tiny("epochs=1", f"model.weights='{name}'"), Job("second", tmp_path / folder, ""))
        for folder, name in names.items()
    ]
    assert results[0].run_id == results[1].run_id
    assert [result.was_done for result in results] == [False, True]


def test_the_network_has_the_very_bits(tiny: Tiny, first: Result) -> None:
    config = tiny(f"model.weights={first.run_id}")
    network = build_network(config)
    assert start_from_stored(network, config) == {"fae.weights": first.run_id}
    archive = Archive(config.tracking)
    stored = TrainedRun.of(archive.run(first.run_id), archive).network.state_dict()
    torch.testing.assert_close(network.state_dict(), stored, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hidden=8"], "its encoder.weight is 4 x 64, that of this network 8 x 64"),
        (["model=tied"], "has a network of another kind"),
        (["data.side=9"], "its encoder.weight is 4 x 64, that of this network 4 x 81"),
    ],
)
def test_a_network_of_another_shape_is_refused_before_a_run_exists(
    tiny: Tiny, tmp_path: Path, first: Result, overrides: list[str], message: str
) -> None:
    config = tiny(f"model.weights={first.run_id}", *overrides)
    with pytest.raises(ConfigError) as error:
        train(config, Job("second", tmp_path / "second", ""))
    assert str(error.value).startswith(f"model.weights={first.run_id}: ")
    assert message in str(error.value)
    assert len(Archive(config.tracking).runs("run")) == 1
    assert not (tmp_path / "second").exists()


@pytest.mark.usefixtures("first")
def test_a_run_that_is_not_there_is_named(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.weights=nothing: .*no runs have ids that begin"):
        train(tiny("model.weights=nothing"), Job("second", tmp_path / "second", ""))


def test_a_wrong_one_leaves_no_folder_behind(cli: Cli, tmp_path: Path) -> None:
    done = cli("experiment=smoke", "hidden=4", "model.weights=nothing")
    assert done.returncode == 2
    assert "model.weights=nothing: no run" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_without_a_store_there_are_no_weights(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("model.weights=abc", f"tracking.uri=sqlite:///{tmp_path}/none.db")
    with pytest.raises(ConfigError, match=r"model\.weights=abc: no run was stored in"):
        train(config, Job("second", tmp_path / "second", ""))
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("beginning", ["91474625", "12a4"])
def test_an_id_that_looks_like_a_number_is_text(tiny: Tiny, beginning: str) -> None:
    assert tiny(f"model.weights={beginning}").model.weights == beginning


def test_an_id_that_is_read_as_another_number_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="read as a number, so give one more character"):
        tiny("model.weights=12e4")
