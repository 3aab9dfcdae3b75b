"""Plain values and tensors in one file, which anyone may write: reading it runs no code.

The tensors are written as safetensors, each named for its place, and the values around them as JSON
in the file's metadata. A value that JSON lacks is an object of one key, its kind:
``{"tuple": [0.9, 0.999]}``, ``{"tensor": "['state_dict']['network.encoder.bias']"}``, and of
dictionaries, whose keys need not be text, ``{"dict": [[0, 0.5], ["lr", 0.1]]}``.
"""

import json
from collections import Counter, OrderedDict
from typing import Any

import safetensors.torch
from torch import Tensor

VALUES = "values"
"""The key of the JSON in the metadata."""
KINDS = {kind.__name__: kind for kind in (dict, OrderedDict, Counter, tuple)}


def dump(value: Any) -> bytes:
    """Dictionaries, lists and tuples of tensors, texts, numbers, truth values and None as a file.

    Raises:
        TypeError: it holds anything else.
    """
    tensors: dict[str, Tensor] = {}
    values = json.dumps(_as_json(value, "", tensors))
    return safetensors.torch.save(tensors, {VALUES: values})


def load(content: bytes) -> Any:
    """What ``dump`` was given; its tensors are on the CPU.

    Takes memory in proportion to the content's size: each tensor in it is used once at most.

    Raises:
        Exception: of any kind, if ``dump`` has not written it.
    """
    tensors = safetensors.torch.load(content)
    kinds = {**KINDS, "Counter": lambda pairs: Counter(dict(pairs)), "tensor": tensors.pop}

    def value(found: dict[str, Any]) -> Any:
        ((kind, part),) = found.items()
        return kinds[kind](part)

    # By path, the library gives the metadata, too, but then of bytes that may not be these.
    end_of_header = 8 + int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8:end_of_header])["__metadata__"]
    return json.loads(metadata[VALUES], object_hook=value)


def _as_json(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON has for a value; tensors are added to ``tensors``, by their names."""
    if isinstance(value, Tensor):
        value = value.contiguous()
        storages = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
        is_tied = value.untyped_storage().data_ptr() in storages
        tensors[name] = value.clone() if is_tied else value  # safetensors refuses shared memory
        return {"tensor": name}
    if isinstance(value, dict):
        parts = [[key, _as_json(part, f"{name}[{key!r}]", tensors)] for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [_as_json(part, f"{name}[{place}]", tensors) for place, part in enumerate(value)]
    else:
        return value
    if type(value) is list:
        return parts
    if type(value) not in KINDS.values():
        raise TypeError(f"{name} is {type(value).__name__}, which cannot be saved")
    return {type(value).__name__: parts}
