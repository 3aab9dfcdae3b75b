"""The commands of docs/how-to/serve.md: a champion is registered, served, and answers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import requests
import torch
from conftest import NO_LOCAL, PROJECT
from mlflow import MlflowClient
from numpy.typing import NDArray

import fae
from cluster.servers import PASSWORD, Server, free_port
from fae.cli.compose import compose
from fae.errors import UndeliveredError

PAGE = (PROJECT / "docs" / "how-to" / "serve.md").read_text()
PORT = "5001"
LIKE_FASHION = f"experiment=smoke data.side=28 {NO_LOCAL}"
"""Images of as many pixels, on which training takes seconds."""


def block(language: str, containing: str) -> str:
    """The one block of code of the page that contains a text."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder, with a champion that the page's command registered."""
    folder = tmp_path_factory.mktemp("project")
    command = block("bash", "repeats=3").strip()
    assert command.startswith("fae train ")
    ended = shell(f"{command} {LIKE_FASHION}", folder)
    assert re.match(
        r"registered hidden=\d+ seed=\d \([0-9a-f]{8}\) as fashion version 1, its champion: "
        r"validation error 0\.\d+$",
        ended.splitlines()[-1],
    )
    return folder


def shell(command: str, folder: Path) -> str:
    """Run a command as a user would; returns its output."""
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def environment() -> dict[str, str]:
    """With the commands of this Python, and this package."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    others = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return {**others, "PATH": programs, "PYTHONPATH": str(PROJECT)}


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[str]:
    """Where the champion is served, by the page's own commands but for the port."""
    port = str(free_port())
    server = Server(
        f"http://127.0.0.1:{port}",
        ["bash", "-c", block("bash", "mlflow models serve").replace(PORT, port)],
        lambda: answers(f"http://127.0.0.1:{port}/ping"),
        folder / "log",
        variables=environment(),
    )
    yield port
    server.end()


def answers(address: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(address, timeout=5).status_code == 200
    return False


def expected(folder: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """What PyTorch makes of images."""
    uri = f"sqlite:///{folder}/mlflow.db"
    tracking = compose(NO_LOCAL, f"tracking.uri='{uri}'").tracking
    network = fae.load_model("models:/fashion@champion", tracking=tracking)
    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(images)).numpy())


def test_the_champion_answers_curl(folder: Path, port: str) -> None:
    said = shell(block("bash", "curl").replace(PORT, port), folder)
    given = np.array(json.loads(said)["predictions"])
    black = np.zeros((1, 784), np.float32)
    np.testing.assert_allclose(given, expected(folder, black), rtol=0, atol=1e-6)


def test_the_champion_answers_python(folder: Path, port: str) -> None:
    names: dict[str, Any] = {}
    exec(block("python", "requests.post").replace(PORT, port), names)
    assert names["reconstructions"].shape == (2, 784)
    wanted = expected(folder, names["images"])
    np.testing.assert_allclose(names["reconstructions"], wanted, rtol=0, atol=1e-6)


def test_images_of_another_size_are_refused(port: str) -> None:
    address = f"http://127.0.0.1:{port}/invocations"
    answer = requests.post(address, json={"inputs": [[0.0] * 64]}, timeout=60)
    assert answer.status_code == 400
    assert "(-1, 784)" in answer.text


def test_the_champion_runs_in_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
    shell(block("bash", "fae export best").partition("\n")[2], folder)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(block("python", "onnxruntime"), names)
    wanted = expected(folder, names["images"])
    np.testing.assert_allclose(names["reconstructions"], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["server", "s3_server"])
def test_a_server_keeps_the_champion_with_its_artifacts(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stores artifacts itself, and one whose clients store them in S3."""
    server: Server = request.getfixturevalue(kind)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    tracking = f"tracking.uri={server.address}"
    config = compose(NO_LOCAL, "experiment=smoke", "hidden=4", tracking, "tracking.register=served")
    result = fae.fit(config, tmp_path / "run")
    version = MlflowClient(server.address).get_model_version_by_alias("served", "champion")
    assert version.run_id == result.run_id
    model = mlflow.pyfunc.load_model("models:/served@champion")
    images = np.random.default_rng(0).random((3, 64), dtype=np.float32)
    network = fae.load_model("models:/served@champion", tracking=config.tracking)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(model.predict(images), wanted, rtol=0, atol=1e-6)


def test_who_may_not_register_loses_nothing_else(
    group_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that belongs to another user: this one may read it only."""
    from mlflow.server.auth.client import AuthServiceClient

    for name, value in group_server.environment.items():
        monkeypatch.setenv(name, value)
    AuthServiceClient(group_server.address).create_user("student", PASSWORD)
    client = MlflowClient(group_server.address)
    client.create_registered_model("of the admin")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "student")
    config = compose(
        *(NO_LOCAL, "experiment=smoke", "hidden=4", f"tracking.uri={group_server.address}"),
        *("tracking.experiment='of the student'", "tracking.register='of the admin'"),
    )
    with pytest.raises(UndeliveredError, match=r"its registry cannot be written \(.*Permission"):
        fae.fit(config, tmp_path / "run")
    experiment = client.get_experiment_by_name("of the student")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert not client.search_model_versions("name = 'of the admin'")
