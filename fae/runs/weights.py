"""Reading a file that anyone may have written, as if it were what torch made.

A file is an archive of records. What ``torch.save`` makes, a checkpoint, is mostly a pickle:
``weights_only=True`` runs no code, but lets it take any amount of memory, and what it gives may be
of any type, so it is checked before and after. What ``torch.export.save`` makes, a trained network,
has the weights as plain bytes and in JSON which they are: these are read, and nothing else.
"""

import io
import json
import pickletools
import re
import zipfile
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from fae.errors import CheckpointError

NAMED = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch \w+Storage")
"""The names in a pickle that ``torch.save`` writes of plain values and dense tensors."""

PLAIN = {dict, OrderedDict, list, tuple, str, int, float, bool, type(None)}

WEIGHTS = "data/weights/"
FLOAT32 = 7
"""As torch numbers the types of tensors in an archive."""

AMBIGUOUS = "ambiguous, its records are not as torch writes them"

DEEPEST = 20
"""Levels of dictionaries and lists in a checkpoint at most; Lightning nests seven."""


def load(content: bytes) -> Any:
    """Plain values and tensors, on the CPU, out of what ``torch.save`` has made of them.

    Runs no code of the content's, and takes memory in proportion to its size.

    Raises:
        CheckpointError: it holds anything else.
        Exception: of any other kind, where it is no archive of torch's.
    """
    loaded = torch.load(_repacked(content), "cpu", weights_only=True)
    _check_plain(loaded, most=len(content))
    return loaded


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


def _repacked(content: bytes) -> io.BytesIO:
    """The archive anew, so that ``torch.load``, which reads archives its own way, sees no other.

    Raises:
        CheckpointError: to load it may take more memory than it is large.
    """
    records = _records(content)
    tensors = [name.partition("/")[2] for name in records if name.startswith("data/")]
    if not all(map(str.isdecimal, tensors)):
        raise CheckpointError(AMBIGUOUS)
    _check_pickle(records["data.pkl"])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as copied:
        for name, record in records.items():
            copied.writestr(f"checkpoint/{name}", record)
    archive.seek(0)
    return archive


def _records(content: bytes) -> dict[str, bytes]:
    """The records of an archive as torch writes it, by their names below its one folder.

    In lower case, as torch does not tell the cases of names apart.

    Raises:
        CheckpointError: torch may see other records, or they are more than the archive is large.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = archive.infolist()
        names = [record.filename.partition("/")[2].lower() for record in found]
        if min(record.header_offset for record in found) or len(set(names)) < len(names):
            raise CheckpointError(AMBIGUOUS)
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in found)
        if packed or sum(record.file_size for record in found) > len(content):
            raise CheckpointError("would unpack to more than it is")
        return {name: archive.read(record) for name, record in zip(names, found, strict=True)}


def _check_pickle(pickled: bytes) -> None:
    """Check that a pickle asks for no more than ``torch.save`` does.

    ``weights_only`` runs no code, but what it does allow can take any amount of memory, such as
    ``bytearray(10**12)``, or a large dictionary copied by every few bytes.

    Raises:
        CheckpointError: it asks for more.
    """
    operations = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL" and not NAMED.fullmatch(str(argument)):
            raise CheckpointError(f"asks for {argument!r:.80}")
        if not operation.name.endswith("BINPUT"):
            operations.append(operation.code)
    # A call (R) is OrderedDict() or ends in one: _rebuild_tensor_v2(..., OrderedDict()).
    # Attributes (b) are those of the one dictionary of weights.
    calls = "".join(operations)
    if re.search(r"(?<!\))(?<!\)Rt)R", calls) or calls.count("b") > 1:
        raise CheckpointError("asks for more than values and tensors")


def _check_plain(checkpoint: Any, most: int) -> None:
    """Check that there are only plain values and tensors, at most ``most``, not deeply nested.

    Raises:
        CheckpointError: there is something else.
    """
    waiting, seen = [(checkpoint, DEEPEST)], 0
    while waiting:
        value, levels = waiting.pop()
        seen += 1
        if levels == 0 or seen > most:
            raise CheckpointError("nested too deeply, or in itself")
        if isinstance(value, Tensor):
            if value.requires_grad or not value.is_contiguous():
                raise CheckpointError("a tensor in it is not plain")
        elif type(value) not in PLAIN:
            raise CheckpointError(f"a {type(value).__name__} in it is not plain")
        waiting += [(part, levels - 1) for pair in parts(value) for part in pair]


def parts(value: Any) -> list[tuple[Any, Any]]:
    """What a dictionary (with its attributes, if it has any), a list or a tuple holds."""
    if isinstance(value, dict):
        return [*dict.items(value), *getattr(value, "__dict__", {}).items()]
    return [*enumerate(value)] if isinstance(value, list | tuple) else []
