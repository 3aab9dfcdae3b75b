"""Presets: the file makes the configuration again."""

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import NO_LOCAL, PROJECT

from fae.cli.compose import compose
from fae.cli.preset import preset

CASES = [
    [],
    ["optimizer=adam", "lr=0.0123", "optimizer.betas=[0.8,0.99]", "dropout=0"],
    ["hidden=128", "model.output_activation=sigmoid", "trainer.early_stopping=5", "epochs=7"],
    ["data=synthetic", "data.side=9", "batch_size=10", "optimizer=adamw"],
]


@pytest.mark.parametrize("overrides", CASES, ids=" ".join)
def test_a_preset_makes_the_configuration_again(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the seed, which is the default's."""
    config = compose(NO_LOCAL, *overrides, "seed=5")
    text = preset(config, "The best of all.")
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "experiment" / "winner.yaml").write_text(text)
    monkeypatch.setattr("fae.cli.compose.CONF", str(tmp_path / "conf"))
    again = compose(NO_LOCAL, "experiment=winner")
    assert again == compose(NO_LOCAL, *overrides)


def test_it_says_what_differs_and_nothing_else() -> None:
    text = preset(compose(NO_LOCAL, "lr=0.25", "seed=3", "sweep.rerun=true"), "One.", "Two.")
    assert text.splitlines()[:3] == ["# @package _global_", "# One.", "# Two."]
    content = yaml.safe_load(text)
    assert content.pop("defaults")[-1] == "_self_"
    assert content == {"lr": 0.25}
