"""Reading a file that anyone may have written, as if it were what ``torch.save`` made.

``weights_only=True`` runs no code, but lets a file take any amount of memory, and what it gives
may be of any type. Here a file is checked before and after.
"""

import io
import pickletools
import re
import zipfile
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from fae.errors import CheckpointError

NAMED = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch \w+Storage")
"""The names in a pickle that ``torch.save`` writes of plain values and dense tensors."""

PLAIN = {dict, OrderedDict, list, tuple, str, int, float, bool, type(None)}

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


def _repacked(content: bytes) -> io.BytesIO:
    """The archive anew, so that ``torch.load``, which reads archives its own way, sees no other.

    Raises:
        CheckpointError: to load it may take more memory than it is large.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as found, zipfile.ZipFile(archive, "w") as copied:
        # In lower case, as torch does not tell the cases of names apart.
        records = {r.filename.partition("/")[2].lower(): r for r in found.infolist()}
        tensors = [name.partition("/")[2] for name in records if name.startswith("data/")]
        start = min(record.header_offset for record in records.values())
        if start or len(records) < len(found.infolist()) or not all(map(str.isdecimal, tensors)):
            raise CheckpointError("ambiguous, its records are not as torch writes them")
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in records.values())
        if packed or sum(record.file_size for record in records.values()) > len(content):
            raise CheckpointError("would unpack to more than it is")
        _check_pickle(found.read(records["data.pkl"]))
        for name, record in records.items():
            copied.writestr(f"checkpoint/{name}", found.read(record))
    archive.seek(0)
    return archive


def _check_pickle(pickled: bytes) -> None:
    """Make sure that a pickle asks for no more than ``torch.save`` does.

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
    """Make sure of nothing but plain values and tensors, ``most`` of them and not nested deeply.

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
