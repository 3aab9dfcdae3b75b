"""A sweep on a Ray cluster of two nodes, which are hosts of their own.

Skipped where Ray is not installed, which is large: pip install ray
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from cluster.conftest import HostMaker
from cluster.host import Host
from cluster.servers import Server, free_port

pytest.importorskip("ray", reason="needs Ray: pip install ray")

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
NODE = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
SWEEP = ["-m", "experiment=smoke", "hydra/launcher=ray"]
THREE = "hidden=4,8,16"
START_S, SWEEP_S, END_S = 180.0, 400.0, 60.0
"""How long it may take on a machine that has other things to do as well."""


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.3)


@pytest.fixture
def nodes(host: HostMaker, tmp_path: Path) -> "Iterator[tuple[Host, subprocess.Popen[str]]]":
    """The cluster's head, where sweeps are launched, and what runs its other node."""
    one, two = host("one"), host("two")
    address = f"127.0.0.1:{free_port()}"
    # Or it would depend on a token in the user's home whether one is asked for.
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    for each in (one, two):
        each.environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": f"{token}",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # 30 s otherwise
        }
    # Names of sockets have a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        head = [f"--port={address.rpartition(':')[2]}", "--node-ip-address=127.0.0.1", "--head"]
        head += [f"--temp-dir={folder}", "--include-dashboard=false"]
        one.popen(*RAY, "start", *head, *NODE, log=tmp_path / "one.log")
        join = [*RAY, "start", f"--address={address}", *NODE]
        second = two.popen(*join, log=tmp_path / "two.log")
        one.environment["RAY_ADDRESS"] = address

        def joined() -> int:
            status = one.popen(*RAY, "status")
            return status.communicate()[0].count("node_") >= 2

        wait_until(joined, START_S)
        yield one, second
        one.end()
        two.end()


@pytest.fixture
def node(nodes: "tuple[Host, subprocess.Popen[str]]") -> Host:
    return nodes[0]


def runs(server: Server, kind: str, experiment: str) -> list[Run]:
    """The runs of a kind, oldest first."""
    client = MlflowClient(server.address)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return client.search_runs([found.experiment_id], f"tags.`fae.kind` = '{kind}'")[::-1]


def start(node: Host, server: Server, experiment: str, *more: str) -> "subprocess.Popen[str]":
    variables = {**server.environment, "MLFLOW_EXPERIMENT_NAME": experiment}
    return node.fae("train", *SWEEP, *more, environment=variables)


def test_runs_of_a_sweep_finish_on_the_nodes(node: Host, server: Server) -> None:
    sweep = start(node, server, "ray", THREE, "epochs=100")
    said, error = sweep.communicate(timeout=SWEEP_S)
    assert sweep.returncode == 0, said + error
    assert "Traceback" not in said + error
    found = runs(server, "run", "ray")
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    (parent,) = runs(server, "sweep", "ray")
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {parent.info.run_id}


def test_a_signal_ends_the_sweep_and_its_runs(node: Host, server: Server) -> None:
    def statuses(kind: str) -> list[str]:
        return [run.info.status for run in runs(server, kind, "ray signal")]

    sweep = start(node, server, "ray signal", THREE, "epochs=3000")
    wait_until(lambda: statuses("run") == ["RUNNING"] * 2, SWEEP_S)
    sweep.send_signal(signal.SIGINT)
    said, error = sweep.communicate(timeout=END_S)
    assert sweep.returncode == 130
    assert "Traceback" not in said + error
    assert statuses("sweep") == ["KILLED"]
    assert statuses("run") == ["KILLED"] * 2


def test_runs_of_a_node_that_died_resume_by_the_same_command(
    nodes: "tuple[Host, subprocess.Popen[str]]", server: Server
) -> None:
    """With the bits of runs that nobody interrupts."""
    node, second = nodes
    settings = ["hidden=4,8", "epochs=400", "tracking.silence_s=10"]

    def found(experiment: str) -> dict[str, Run]:
        begun = [run for run in runs(server, "run", experiment) if "hidden" in run.data.params]
        return {run.data.params["hidden"]: run for run in begun}

    def are_training() -> bool:
        trained = [run for run in found("ray death").values() if "val/mse" in run.data.metrics]
        return {run.data.tags["fae.host"] for run in trained} == {"one", "two"}

    sweep = start(node, server, "ray death", *settings)
    wait_until(are_training, SWEEP_S)
    os.killpg(second.pid, signal.SIGKILL)
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=END_S)
    assert sweep.returncode == 130
    interrupted = found("ray death")

    sweep = start(node, server, "ray death", *settings)
    said, error = sweep.communicate(timeout=SWEEP_S)
    assert sweep.returncode == 0, said + error
    resumed = found("ray death")
    assert len(runs(server, "run", "ray death")) == 2
    variables = {**server.environment, "MLFLOW_EXPERIMENT_NAME": "calm", "OMP_NUM_THREADS": "1"}
    calm = node.fae("train", "-m", "experiment=smoke", *settings, environment=variables)
    said, error = calm.communicate(timeout=SWEEP_S)
    assert calm.returncode == 0, said + error
    for hidden, undisturbed in found("calm").items():
        run = resumed[hidden]
        assert run.info.status == "FINISHED"
        assert run.info.run_id == interrupted[hidden].info.run_id
        assert "fae.attempt.2" in run.data.params
        for metric in ("train/mse", "val/mse", "test/mse"):
            assert run.data.metrics[metric] == undisturbed.data.metrics[metric]
