"""The weights out of a file that anyone may have written; checkpoints are in test_checkpoint.py."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import damaged
from records import exported

from fae.errors import CheckpointError
from fae.models.dense.network import AutoEncoder
from fae.runs.weights import load_weights

CONFIG = "data/weights/model_weights_config.json"


def network(hidden: int = 3) -> AutoEncoder:
    return AutoEncoder(5, hidden, widths=[4]).eval()


def untrained(hidden: int = 3) -> AutoEncoder:
    """What weights go into."""
    with torch.device("meta"):
        return network(hidden)


def test_weights_are_those_that_torch_has_exported() -> None:
    made, found = network(), untrained()
    images = torch.rand(7, 5)
    program = torch.export.export(made, (images,), dynamic_shapes=[{0: torch.export.Dim.AUTO}])
    content = io.BytesIO()
    torch.export.save(program, content)
    load_weights(found, content.getvalue())
    assert torch.equal(found(images), made(images))
    assert {name: w.device.type for name, w in found.state_dict().items()} == dict.fromkeys(
        made.state_dict(), "cpu"
    )


def test_weights_are_read_under_the_names_of_the_first_version() -> None:
    made, found = AutoEncoder(5, 3), AutoEncoder(5, 3)
    first = torch.nn.Module()
    for part in ("encoder", "decoder"):
        first.add_module(part, torch.nn.Sequential(getattr(made, part)))
    assert next(iter(first.state_dict())) == "encoder.0.weight"
    load_weights(found, exported(first))
    assert torch.equal(found.encoder.weight, made.encoder.weight)


class Attack:
    """A pickle that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return os.mkdir, (self.folder,)


def test_no_pickle_beside_the_weights_is_loaded(tmp_path: Path) -> None:
    attack = pickle.dumps(Attack(tmp_path / "attacked"))
    others = ("data__sample_inputs__model.pt", "data__constants__tensor_0", "data.pkl")
    made, found = network(), untrained()
    load_weights(found, exported(made, **dict.fromkeys(others, attack)))
    assert torch.equal(found.encoder.weight, made.encoder.weight)
    assert not (tmp_path / "attacked").exists()


def described(made: AutoEncoder) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(exported(made))) as archive:
        config: dict[str, Any] = json.loads(archive.read(f"model/{CONFIG}"))["config"]
    return config


def test_a_pickle_in_the_place_of_a_weight_is_refused(tmp_path: Path) -> None:
    attack = pickle.dumps(Attack(tmp_path / "attacked"))
    config = described(network())
    config["encoder.bias"]["use_pickle"] = True
    changed = {
        CONFIG.replace("/", "__"): json.dumps({"config": config}).encode(),
        f"data__weights__{config['encoder.bias']['path_name']}": attack,
    }
    with pytest.raises(CheckpointError, match=r"encoder\.bias is not as in the network"):
        load_weights(untrained(), exported(network(), **changed))
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dtype", 8),
        ("sizes", [{"as_int": 3}]),
        ("strides", [{"as_int": 1}, {"as_int": 3}]),
        ("storage_offset", {"as_int": 1}),
        ("sizes", [{"as_int": 10**12}, {"as_int": 4}]),
    ],
)
def test_weights_of_another_kind_or_shape_are_refused(key: str, value: object) -> None:
    config = described(network())
    config["encoder.weight"]["tensor_meta"][key] = value
    changed = {CONFIG.replace("/", "__"): json.dumps({"config": config}).encode()}
    with pytest.raises(CheckpointError, match=r"encoder\.weight is not as in the network"):
        load_weights(untrained(), exported(network(), **changed))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"encoder\.weight is not as in the network"):
        load_weights(untrained(hidden=2), exported(network(hidden=3)))
    with pytest.raises(CheckpointError, match="has other weights than the network"):
        load_weights(untrained(), exported(AutoEncoder(5, 3)))


def test_weights_that_are_not_finite_are_refused() -> None:
    made = network()
    with torch.no_grad():
        made.decoder.bias[2] = torch.nan
    with pytest.raises(CheckpointError, match=r"decoder\.bias is not finite"):
        load_weights(untrained(), exported(made))


def test_a_packed_archive_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"model/{CONFIG}", b" " * 10_000_000)
    with pytest.raises(CheckpointError, match="would unpack to more than it is"):
        load_weights(untrained(), packed.getvalue())


def test_two_records_of_a_name_are_refused() -> None:
    content = io.BytesIO(exported(network()))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(f"model/{CONFIG.upper()}", b"{}")
    with pytest.raises(CheckpointError, match="ambiguous"):
        load_weights(untrained(), content.getvalue())


def test_a_file_with_a_byte_changed_is_refused_or_gives_finite_weights() -> None:
    """Anything but an exception of Python's would end the process."""
    for content in damaged(exported(network()), 2000):
        found = untrained()
        try:
            load_weights(found, content)
        except Exception:
            continue
        assert all(weight.isfinite().all() for weight in found.state_dict().values())
