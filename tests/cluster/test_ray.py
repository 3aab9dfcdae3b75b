"""A sweep on a Ray cluster of two nodes, which are hosts of their own.

Skipped where Ray is not installed, which is large: pip install ray
"""

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
SWEEP = ["-m", "hidden=4,8,16", "experiment=smoke", "hydra/launcher=ray"]
START_S, SWEEP_S, END_S = 90.0, 240.0, 15.0


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.3)


@pytest.fixture
def node(host: HostMaker, tmp_path: Path) -> Iterator[Host]:
    """One of the cluster's two nodes, where a sweep is launched."""
    one, two = host("one"), host("two")
    address = f"127.0.0.1:{free_port()}"
    # Or it would depend on a token in the user's home whether one is asked for.
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    for each in (one, two):
        each.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{token}"}
    # Names of sockets have a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        head = [f"--port={address.rpartition(':')[2]}", "--node-ip-address=127.0.0.1", "--head"]
        head += [f"--temp-dir={folder}", "--include-dashboard=false"]
        one.popen(*RAY, "start", *head, *NODE, log=tmp_path / "one.log")
        two.popen(*RAY, "start", f"--address={address}", *NODE, log=tmp_path / "two.log")
        one.environment["RAY_ADDRESS"] = address

        def joined() -> int:
            status = one.popen(*RAY, "status")
            return status.communicate()[0].count("node_") >= 2

        wait_until(joined, START_S)
        yield one
        one.end()
        two.end()


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
    sweep = start(node, server, "ray", "epochs=100")
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

    sweep = start(node, server, "ray signal", "epochs=3000")
    wait_until(lambda: statuses("run") == ["RUNNING"] * 2, SWEEP_S)
    sweep.send_signal(signal.SIGINT)
    said, error = sweep.communicate(timeout=END_S)
    assert sweep.returncode == 130
    assert "Traceback" not in said + error
    assert statuses("sweep") == ["KILLED"]
    assert statuses("run") == ["KILLED"] * 2
