"""Commands whose store lacks something in the end: exit code 3, and what brings it there."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.tracking.address import of_file
from fae.tracking.store import Store

SMOKE = (NO_LOCAL, "experiment=smoke")


def begin(folder: Path, *command: str) -> "subprocess.Popen[str]":
    return forking.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(of_file(folder / "mlflow.db")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *command: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    process = begin(folder, *command)
    said, told = process.communicate(timeout=300)
    assert "Traceback" not in said + told
    return process.returncode, said, told


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_sweep_whose_files_the_store_refuses_is_stored_by_the_command_it_names(
    tmp_path: Path,
) -> None:
    Store(compose(*SMOKE, f"tracking.uri='{of_file(tmp_path / 'mlflow.db')}'").tracking)
    (tmp_path / "mlruns").symlink_to("not mounted")  # which shows when something is written
    code, said, told = run(tmp_path, "fae.train", "-m", "hidden=4,8", *SMOKE)
    assert code == 3, told
    assert said.count("warning: the store rejects the file config.yaml") == 2
    assert "failed" not in said
    lines = [line for line in told.splitlines() if "uploads it" in line]
    assert len(lines) == 3
    *_, command = lines[-1].removesuffix(" uploads it").split("; ")
    _, _, module, *arguments = shlex.split(command)
    code, _, told = run(tmp_path, module, *arguments)
    assert (code, "rejects" in told) == (3, True)
    (tmp_path / "mlruns").unlink()
    assert run(tmp_path, "fae.sync")[0] == 0
    assert run(tmp_path, "fae.report")[0] == 0
    code, said, _ = run(tmp_path, "fae.train", "-m", "hidden=4,8", *SMOKE, "sweep.plan_only=true")
    assert (code, said.count("done: test 0.0")) == (0, 2)


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_run_whose_experiment_is_deleted_is_whole_once_that_is_restored(tmp_path: Path) -> None:
    command = ("fae.train", *SMOKE, "hidden=4", "epochs=120")
    client = MlflowClient(of_file(tmp_path / "mlflow.db"))
    process = begin(tmp_path, *command)
    experiment = None
    while not (experiment and client.search_runs([experiment], "metrics.`val/mse` < 1")):
        time.sleep(0.2)
        if not experiment and (tmp_path / "mlflow.db").exists():
            found = client.get_experiment_by_name("fae")
            experiment = found.experiment_id if found else None
    client.delete_experiment(experiment)
    said, told = process.communicate(timeout=300)
    assert process.returncode == 3, told
    restore = f"mlflow experiments restore --experiment-id {experiment} restores it"
    assert restore in said
    assert "python -m fae.sync" in told.splitlines()[-1]
    code, _, told = run(tmp_path, "fae.sync")
    assert (code, f"restore -x {experiment}" in told) == (3, True)
    client.restore_experiment(experiment)
    code, said, _ = run(tmp_path, *command)
    assert (code, "done: test 0.0" in said) == (0, True)
    (stored,) = client.search_runs([experiment])
    assert len(client.get_metric_history(stored.info.run_id, "val/mse")) == 120
    assert stored.outputs
    assert len(stored.outputs.model_outputs) == 1
