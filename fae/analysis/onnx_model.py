"""Trained networks as ONNX models, which run without PyTorch, by PyTorch's own exporter."""

from collections.abc import Mapping
from importlib.util import find_spec

import torch

from fae.errors import ConfigError
from fae.models.network import Network
from fae.runs.stored import TrainedRun

INPUT, OUTPUT = "images", "reconstructions"
"""Names of the model's input and of its output."""


def check_installed() -> None:
    """Check that what PyTorch exports with is installed.

    Raises:
        ConfigError: it is not; names the command that installs it.
    """
    lacking = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"{' and '.join(lacking)}: not installed; pip install 'fae[onnx]' installs it"
        )


def onnx_model(network: Network, pixels: int, origin: Mapping[str, str]) -> bytes:
    """A network as an ONNX model: the content of a file.

    It maps images (batch, pixels), float32 in [0, 1], to their reconstructions, for any batch.

    Args:
        network: in evaluation mode, on the CPU.
        pixels: of an image.
        origin: properties of the model, by their names.
    """
    program = torch.onnx.export(
        network,
        (torch.zeros(2, pixels),),  # of one image, the batch would be taken for fixed
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # they name files of this machine
    program.model.metadata_props.update(origin)
    content: bytes = program.model_proto.SerializeToString()
    return content


def origin(run: TrainedRun) -> dict[str, str]:
    """Where a run's network comes from: its id, the code's commit, the digest of the images."""
    known = {tag: run.tags[tag] for tag in ("fae.commit", "fae.data_digest") if tag in run.tags}
    return {"fae.run": run.id, **known}
