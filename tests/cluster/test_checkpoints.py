"""Hosts that share a server, and no folder: a run is resumed from its checkpoint in the store."""

import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import NO_LOCAL
from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor

from cluster.conftest import HostMaker
from cluster.host import Host
from cluster.servers import Server
from cluster.test_sharing import END_S, attempts, runs, until
from fae.cli.compose import compose
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive

EPOCHS = 500
COMMAND = ["experiment=smoke", "hidden=4", f"epochs={EPOCHS}"]
COMMAND += ["tracking.silence_s=10", "tracking.checkpoint_s=1"]


def start(here: Host, server: Server, experiment: str) -> "tuple[subprocess.Popen[str], Path]":
    """Give the command on a host; its process, and what it says."""
    log = here.home / f"{experiment}.log"
    environment = {**server.environment, "MLFLOW_EXPERIMENT_NAME": experiment}
    return here.fae("train", *COMMAND, environment=environment, log=log), log


def points(server: Server, run: Run, name: str) -> list[tuple[int, float]]:
    """The steps and values of a metric, in order."""
    history = MlflowClient(server.address).get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in history)


def weights(server: Server, experiment: str, run: Run) -> dict[str, Tensor]:
    """Those of the network that a run has stored."""
    tracking = compose(NO_LOCAL, f"tracking.uri={server.address}").tracking
    archive = Archive(replace(tracking, experiment=experiment))
    return TrainedRun.of(archive.run(run.info.run_id), archive).network.state_dict()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_is_resumed_on_a_host_that_does_not_see_its_folder(
    host: HostMaker, server: Server, end: signal.Signals
) -> None:
    """With the bits of an undisturbed run, and each metric once for each epoch."""
    first, experiment = host("first"), f"resumed after {end.name}"
    second = host("second", hidden=[first.home])
    dying, _ = start(first, server, experiment)
    until(lambda: any("fae.checkpoint" in r.data.tags for r in runs(server, experiment, "run")))
    dying.send_signal(end)
    dying.wait(END_S)
    (left,) = runs(server, experiment, "run")
    epoch, place = left.data.tags["fae.checkpoint"].split()
    artifacts = MlflowClient(server.address).list_artifacts(left.info.run_id, f"checkpoint/{place}")
    assert [Path(file.path).suffix for file in artifacts] == [".json", ".safetensors"]
    resuming, said = start(second, server, experiment)
    assert resuming.wait(END_S) == 0, said.read_text()
    undisturbed, log = start(first, server, "undisturbed")
    assert undisturbed.wait(END_S) == 0, log.read_text()
    (found,), (expected,) = (runs(server, name, "run") for name in (experiment, "undisturbed"))
    assert found.info.status == "FINISHED"
    assert attempts(found) == (3 if end == signal.SIGKILL else 2)
    assert found.data.tags["fae.folder"].startswith(f"{second.home}")
    assert "fae.checkpoint" not in found.data.tags
    (first_epoch, *_) = re.findall(rf"epoch (\d+)/{EPOCHS} ", said.read_text())
    assert int(first_epoch) == int(epoch) + 1
    for name in expected.data.metrics:
        steps = [step for step, _ in points(server, expected, name)]
        assert [step for step, _ in points(server, found, name)] == steps, name
        if "/mse" in name or name == "train/loss":
            assert points(server, found, name) == points(server, expected, name)
    for name, tensor in weights(server, "undisturbed", expected).items():
        assert torch.equal(weights(server, experiment, found)[name], tensor)
