"""The weights of a trained network, out of a file that anyone may have written.

What ``torch.export.save`` makes is an archive that holds the weights as plain bytes, and in JSON
which they are: these are read, and nothing else, so that no code of the file's is run.
"""

import io
import json
import zipfile
from typing import Any

import torch
from torch import Tensor, nn

from fae.errors import CheckpointError

WEIGHTS = "data/weights/"
FLOAT32 = 7
"""As torch numbers the types of tensors in an archive."""


def load_weights(network: nn.Module, content: bytes) -> None:
    """Give a network the weights out of what ``torch.export.save`` has made of such a network.

    Args:
        network: on the meta device, in single precision; afterwards on the CPU.

    Raises:
        CheckpointError: they are not the weights of such a network, or not all are numbers.
        Exception: of any other kind, where it is no archive of torch's.
    """
    records = _records(content)
    if records["byteorder"] != b"little":
        raise CheckpointError("in another order of bytes")
    described = json.loads(records[f"{WEIGHTS}model_weights_config.json"])["config"]
    expected = network.state_dict()
    if described.keys() != expected.keys():  # in the first version, encoder.0.weight
        described = {name.replace("coder.0.", "coder."): about for name, about in described.items()}
    if described.keys() != expected.keys():
        raise CheckpointError("has other weights than the network of its configuration")
    weights = {
        name: _weight(records, described[name], like, name) for name, like in expected.items()
    }
    network.load_state_dict(weights, assign=True)


def _weight(records: dict[str, bytes], about: Any, like: Tensor, name: str) -> Tensor:
    """A weight out of its record's plain bytes.

    Raises:
        CheckpointError: it is not as ``like``, or it is not finite.
    """
    wanted = {
        "dtype": FLOAT32,
        "sizes": [{"as_int": size} for size in like.shape],
        "strides": [{"as_int": stride} for stride in like.stride()],
        "storage_offset": {"as_int": 0},
    }
    found = {key: about["tensor_meta"][key] for key in wanted}
    content = records[WEIGHTS + about["path_name"]]
    if about["use_pickle"] is not False or found != wanted or len(content) != like.nbytes:
        raise CheckpointError(f"{name} is not as in the network of its configuration")
    weight = torch.frombuffer(bytearray(content), dtype=torch.float32).view(like.shape)
    if not weight.isfinite().all():
        raise CheckpointError(f"{name} is not finite")
    return weight


def _records(content: bytes) -> dict[str, bytes]:
    """The records of an archive as torch writes it, by their names below its one folder.

    In lower case, as torch does not tell the cases of names apart.

    Raises:
        CheckpointError: two have one name, or they are more than the archive is large.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = archive.infolist()
        names = [record.filename.partition("/")[2].lower() for record in found]
        if len(set(names)) < len(names):
            raise CheckpointError("ambiguous, two of its records have one name")
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in found)
        if packed or sum(record.file_size for record in found) > len(content):
            raise CheckpointError("would unpack to more than it is")
        return {name: archive.read(record) for name, record in zip(names, found, strict=True)}
