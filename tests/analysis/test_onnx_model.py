"""Exported networks give in onnxruntime what they give in PyTorch."""

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
from conftest import NO_LOCAL, PROJECT, environment
from numpy.typing import NDArray

import fae
from fae.analysis import onnx_model as exporting
from fae.analysis.onnx_model import check_installed, onnx_model
from fae.config import Config
from fae.errors import ConfigError
from fae.export import export
from fae.models.network import Network
from fae.runs.build import build_network

Tiny = Callable[..., Config]
FAMILIES = sorted(file.stem for file in (PROJECT / "conf" / "model").glob("*.yaml"))
ACTIVATIONS = [
    ["model=deep", "model.hidden_activation=sigmoid", "model.inner_activation=silu"],
    ["model.hidden_activation=tanh", "model.output_activation=sigmoid"],
    ["model.hidden_activation=identity", "model.output_activation=clamp"],
]
TOLERANCE = 1e-5


def answers(content: bytes, images: torch.Tensor) -> NDArray[np.float32]:
    from onnxruntime import InferenceSession

    session = InferenceSession(content)
    (outputs,) = session.run(["reconstructions"], {"images": images.numpy()})
    assert outputs.dtype == np.float32
    return np.asarray(outputs)


def check(network: Network, pixels: int, content: bytes) -> None:
    for batch in (1, 2, 9):
        images = torch.rand(batch, pixels)
        with torch.inference_mode():
            expected = network(images).numpy()
        np.testing.assert_allclose(answers(content, images), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "given", [*([f"model={name}"] for name in FAMILIES), *ACTIVATIONS], ids=str
)
def test_every_family_gives_the_same_in_onnxruntime(tiny: Tiny, given: Sequence[str]) -> None:
    """For batches of any size, of which 1 is one."""
    config = tiny(*given, "dropout=0.5")
    network = build_network(config).eval()
    check(network, config.data.pixels, onnx_model(network, config.data.pixels, {}))


def test_a_model_says_where_it_comes_from_and_names_no_file_of_this_machine(tiny: Tiny) -> None:
    import onnx

    config = tiny()
    content = onnx_model(build_network(config).eval(), config.data.pixels, {"fae.run": "ab"})
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert [(each.key, each.value) for each in model.metadata_props] == [("fae.run", "ab")]
    assert b".py" not in content


@pytest.mark.long
def test_the_command_writes_a_trained_network_once(tiny: Tiny, tmp_path: Path) -> None:
    """One that was trained in bfloat16, which the weights are not."""
    bfloat16 = ["trainer.precision=bf16-mixed", "trainer.emulate_bf16=true"]
    config = tiny(*bfloat16, f"tracking.experiment={tmp_path.name}")
    run_id = fae.fit(config, tmp_path / "run").run_id
    tracking = [f"tracking.experiment={tmp_path.name}", NO_LOCAL]
    command = [sys.executable, "-m", "fae.export", run_id[:8], "network.onnx", *tracking]
    env = environment(config.tracking.uri)
    first = forking.run(command, cwd=tmp_path, env=env, timeout=300)
    assert (first.returncode, first.stderr) == (0, "")
    content = (tmp_path / "network.onnx").read_bytes()
    check(fae.load_model(run_id, tracking=config.tracking), config.data.pixels, content)
    second = forking.run(command, cwd=tmp_path, env=env, timeout=300)
    said = "fae: network.onnx: is there already; name another file, or delete it\n"
    assert (second.returncode, second.stderr) == (2, said)
    assert (tmp_path / "network.onnx").read_bytes() == content


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["best"], "RUN FILE: must be given, as in fae export best network.onnx"),
        (["best", "no/network.onnx"], "no/network.onnx: there is no folder "),
        (["best", "a.onnx", "hiden=3"], "hiden: no such key"),
        (
            ["best", "a.onnx", "hidden=3"],
            "hidden=3: a stored run has its own settings; only",
        ),
    ],
    ids=["no file", "no folder", "no key", "no effect"],
)
def test_what_is_wrong_is_said_at_once(words: Sequence[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        export(words)


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        exporting, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name)
    )
    with pytest.raises(ConfigError, match=r"^onnxscript: not installed; pip install 'fae\[onnx\]'"):
        check_installed()
