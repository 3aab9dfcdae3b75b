"""A mistake in a user's file is named with the file and the line."""

from pathlib import Path

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose_as, compose_jobs, read
from fae.config import Config
from fae.errors import ConfigError

PRESET = """# @package _global_
# My own.

epochs: -3
epocs: 4
optimizer:
  momentum: 7
  schedule: constant
data:
  split_seed: -1
"""
DATA = """name: synthetic
side: 8
train: 2000
val: 500
test: 1
split_seed: 0
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The override for a folder with a preset and a data set, as by ``--config-dir``."""
    for name, text in {"experiment/own": PRESET, "data/mine": DATA}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.yaml").write_text(text)
    return f"hydra.searchpath=[{tmp_path}]"


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose_as("config", Config, NO_LOCAL, *overrides)
    return list(error.value.problems)


def test_each_mistake_in_a_preset_is_named_with_its_line(own: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "own.yaml"
    assert problems(own, "experiment=own") == [
        f"{file}, line 4: epochs=-3: must be greater than or equal to 1",
        f"{file}, line 10: data.split_seed=-1: must be greater than or equal to 0",
        f"{file}, line 7: optimizer.momentum=7: must be less than 1",
        f"{file}, line 5: epocs: no such key; did you mean epochs?",
    ]


def test_a_key_that_is_no_word_is_named_with_its_line(own: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "own.yaml"
    file.write_text('# @package _global_\n\n"\\e[31m x": 8\n')
    (told,) = problems(own, "experiment=own")
    assert told == rf"{file}, line 3: \x1b[31m x: no such key; --help lists them all"


def test_what_an_override_gives_is_in_no_file(own: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "own.yaml"
    told = problems(
        own, "experiment=own", "epochs=0", "optimizer.momentum=0", "data.split_seed=0", "~epocs"
    )
    assert told == ["epochs=0: must be greater than or equal to 1"]
    told = problems(
        own, "experiment=own", "epochs=1", "optimizer={momentum: 8}", "data.split_seed=0", "~epocs"
    )
    assert told == ["optimizer.momentum=8: must be less than 1"]
    assert problems(own, "experiment=own", "epochs=1", "data.split_seed=0", "~epocs")[0].startswith(
        f"{file}, line 7"
    )


def test_a_group_of_ones_own_is_named_as_well(own: str, tmp_path: Path) -> None:
    file = tmp_path / "data" / "mine.yaml"
    (told,) = problems(own, "data=mine")
    assert told == f"{file}, line 5: data.test=1: must be greater than or equal to 10"


def test_a_sweep_names_them_too(own: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        compose_jobs(
            "config",
            [NO_LOCAL, own, "experiment=own", "~epocs", "seed=0,1"],
            lambda node, _: read(node, Config),
        )
    first, *_ = error.value.problems
    assert first.startswith(f"{tmp_path}/experiment/own.yaml, line 4: epochs=-3: ")
