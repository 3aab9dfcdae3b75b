"""The reproduce command: a run and a sweep again, elsewhere, by the store's address alone."""

import re
import subprocess
import sys
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient

import fae.reproduce
from fae.errors import ConfigError

TRAIN = "experiment=smoke", "hidden=4,5", "trainer.kernels=torch"


def command(
    folder: Path, module: str, *arguments: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    return forking.run(
        [sys.executable, "-m", f"fae.{module}", *arguments, NO_LOCAL],
        cwd=folder,
        env={**environment(f"sqlite:///{folder.parent}/mlflow.db"), **more},
        timeout=120,
    )


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_sweep_is_reproduced_elsewhere_and_a_difference_fails(tmp_path: Path) -> None:
    done = command(tmp_path / "there", "train", "-m", *TRAIN)
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment
    runs = {r.info.run_id: r.data.tags for r in client.search_runs([experiment.experiment_id])}
    (sweep,) = (run_id for run_id, tags in runs.items() if tags["fae.kind"] == "sweep")
    first, _ = (run_id for run_id, tags in runs.items() if tags["fae.kind"] == "run")

    same = command(tmp_path / "here", "reproduce", sweep[:8])
    assert same.returncode == 0, same.stderr
    assert (
        len(re.findall(r": identical \(reproduction: run \w{8}\)$", same.stdout, re.MULTILINE)) == 2
    )
    assert "[2/2] reproduction of " in same.stdout
    assert len(re.findall(r"identical(?: +same){5}", same.stdout)) == 2

    client.log_metric(first, "val/mse", 0.5, step=2)  # as if it had been another
    other = command(tmp_path / "here", "reproduce", first)
    assert other.returncode == 1
    assert re.search(
        rf"^run {first[:8]} \(.*\): differs from epoch 2 on", other.stdout, re.MULTILINE
    )
    told = other.stderr.splitlines()[-1]
    assert re.fullmatch(rf"fae: run {first[:8]} \(.*\): not reproduced bit for bit", told)

    kinds = [r.data.tags["fae.kind"] for r in client.search_runs([experiment.experiment_id])]
    assert kinds.count("reproduction") == 3
    assert command(tmp_path / "here", "reproduce", "nothing").returncode == 2


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        ([], [], "RUN: must be one run or sweep"),
        ([""], [], "RUN: must be one run or sweep"),
        (["a", "b"], [], "RUN: must be one run or sweep"),
        (["a"], ["lr=0.5"], "lr=0.5: a run is reproduced with its own settings; only data.root"),
        (["a"], ["report.tolerance=0.1"], "report.tolerance=0.1: a run is reproduced with its own"),
        (["a"], ["data=digits"], "data=digits: a run is reproduced with its own settings"),
        (["a"], ["tracking.urn=x"], "tracking.urn: no such key; did you mean tracking.uri"),
    ],
)
def test_what_it_does_not_take_is_refused(
    names: list[str], overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        fae.reproduce.reproduce(names, overrides)
