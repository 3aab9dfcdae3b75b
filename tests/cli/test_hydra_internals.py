"""What is used of Hydra's private parts is there, and does what it is used for."""

from typing import Any

import pytest
from conftest import NO_LOCAL
from hydra import compose as compose_node
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from fae.cli.compose import CONF
from fae.cli.hydra_internals import (
    ConfigLoaderImpl,
    composing_by,
    failure,
    parsed,
)


def test_hydra_composes_by_the_loader_of_the_block() -> None:
    asked: list[Any] = []

    class Loader(ConfigLoaderImpl):
        def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
            asked.append({**dict(zip(("config_name", "overrides"), args, strict=False)), **kwargs})
            return super().load_configuration(*args, **kwargs)

    with initialize_config_dir(CONF, version_base="1.3"):
        compose_node("config", [NO_LOCAL])
    with composing_by(Loader), initialize_config_dir(CONF, version_base="1.3"):
        compose_node("config", [NO_LOCAL])
    (told,) = asked
    assert (told["config_name"], told["overrides"]) == ("config", [NO_LOCAL])


def test_a_command_line_has_overrides_and_options() -> None:
    arguments = ["-m", "--config-dir", "here", "hidden=4,8", "lr=1"]
    assert parsed(arguments).overrides == ["hidden=4,8", "lr=1"]
    assert parsed(arguments).experimental_rerun is None
    assert parsed([*arguments, "--exp=job"]).experimental_rerun == "job"


def test_the_failure_of_a_job_is_there_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    job = JobReturn(status=JobStatus.FAILED)
    job.return_value = error = ValueError("boom")
    assert failure(job) is error
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="boom"):
        _ = job.return_value
    assert capsys.readouterr().err.startswith("Error executing job with overrides")


def test_the_basic_sweeper_splits_a_grid_and_the_basic_launcher_is_one() -> None:
    Plugins.instance()  # loads both anew, if it is the first time

    from hydra._internal.core_plugins.basic_launcher import BasicLauncher
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    sweeper = BasicSweeper(max_batch_size=None, params={"hidden": "4,8"})
    (grid,) = sweeper._parse_config()
    assert grid == "hidden=4,8"
    parsed = OverridesParser.create().parse_overrides([grid, "seed=1"])
    assert sweeper.split_arguments(parsed, None) == [
        [["hidden=4", "seed=1"], ["hidden=8", "seed=1"]]
    ]
    assert issubclass(BasicLauncher, Launcher)
