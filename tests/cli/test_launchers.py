"""Jobs that run in another folder, as on another machine."""

import os
import subprocess
import sys
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, PROJECT, environment, runs
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient

from fae.cli.launchers import in_this_process, make_folder_absolute, on_this_machine

GPU = "trainer.accelerator=gpu"
NO_GPU = f"{GPU}: torch finds no GPU; use cpu\n"


@pytest.mark.parametrize(
    ("launcher", "in_process", "on_machine"), [("basic", True, True), ("joblib", False, True)]
)
def test_hydra_s_launchers_are_known(launcher: str, in_process: bool, on_machine: bool) -> None:
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        base = compose("config", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert (in_this_process(base), on_this_machine(base)) == (in_process, on_machine)


@pytest.mark.parametrize("folder", ["a folder", "it's, [one]"])
def test_the_folder_is_absolute_for_launchers_and_in_what_is_composed_for_jobs(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        base = compose("config", [], return_hydra_config=True)
        base.hydra.sweep.dir = folder
        assert make_folder_absolute(base) == tmp_path / folder
        overrides = [*base.hydra.overrides.hydra]
        assert base.hydra.sweep.dir == str(tmp_path / folder)
        job = compose("config", overrides, return_hydra_config=True)
        assert job.hydra.sweep.dir == str(tmp_path / folder)


def launched(
    module: str, folder: Path, store_uri: str, *overrides: str
) -> "subprocess.CompletedProcess[str]":
    """A multirun on a machine without GPU, given in a folder; its jobs run in one beside it."""
    (folder / "there").mkdir()
    (folder / "here").mkdir()
    return forking.run(
        [sys.executable, "-m", module, "-m", "hydra/launcher=elsewhere", NO_LOCAL, *overrides],
        cwd=folder / "here",
        env={
            **environment(store_uri),
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'tests' / 'elsewhere'}",
            "ELSEWHERE": str(folder / "there"),
            "CUDA_VISIBLE_DEVICES": "",
        },
        timeout=300,
    )


def test_the_device_of_a_run_is_checked_where_it_is_trained(
    tmp_path: Path, store_uri: str, client: MlflowClient
) -> None:
    done = launched("fae.train", tmp_path, store_uri, "experiment=smoke", "hidden=4,8", GPU)
    assert done.returncode == 1
    for name in ("hidden=4 seed=0", "hidden=8 seed=0"):
        assert f"  {name}: {NO_GPU}" in done.stderr
    (sweep,) = runs(client, "sweep", tmp_path / "here")
    assert "fae.host" in sweep.data.tags
    for tag in ("fae.device", "fae.kernels", "fae.threads"):
        assert tag not in sweep.data.tags
    assert not [*(tmp_path / "there").iterdir()]


def test_the_device_of_a_search_is_checked_where_its_trials_are_trained(
    tmp_path: Path, store_uri: str
) -> None:
    done = launched("fae.search", tmp_path, store_uri, "experiment=smoke", "search.trials=1", GPU)
    assert done.returncode == 2
    assert done.stderr.endswith(f"\nfae: {NO_GPU}")
    assert [*(tmp_path / "here").glob("multirun/*/*/0")]
    assert not [*(tmp_path / "there").iterdir()]
