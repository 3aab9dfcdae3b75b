"""Values and tensors in a file: as they were written, or an error that can be caught."""

import json
import math
from collections import Counter, OrderedDict
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from damage import damaged

from fae.runs.tensor_file import dump, load


def again(value: Any) -> Any:
    return load(dump(value))


@pytest.mark.parametrize(
    "value",
    [
        {0: "an integer key", "0": "its text", None: 1, 2.5: 2, True: 3},
        {"milestones": Counter({3: 1, 5: 2}), "none": Counter()},
        {"betas": (0.9, 0.999), "params": [0, 1], "none": ()},
        OrderedDict(b=1, a=OrderedDict()),
        [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf, 2**70],
        {"dict": [], "tensor": "a text", "tuple": {"dict": 1}},
        "NaN",
        [True, False, None, "\u00e9\N{GRINNING FACE}\n\"'\\\\", 1, 1.0],
        {},
    ],
)
def test_values_are_as_they_were(value: Any) -> None:
    found = again(value)
    assert repr(found) == repr(value)  # of the same types, and in the same order


def test_a_nan_stays_one() -> None:
    assert math.isnan(again({"loss": math.nan})["loss"])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([math.nan, math.inf, -0.0, 1e-45]),
        torch.tensor(1 / 3, dtype=torch.float64),
        torch.arange(6).view(2, 3),
        torch.ones(2, 3, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.empty(0, 3),
    ],
)
def test_tensors_are_as_they_were_bit_for_bit(tensor: torch.Tensor) -> None:
    found = again({"a": [tensor]})["a"][0]
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert (
        found.numpy(force=True).tobytes() == tensor.numpy(force=True).tobytes()
        if (tensor.dtype != torch.bfloat16)
        else torch.equal(found, tensor)
    )


def test_tensors_that_share_memory_or_are_transposed_are_written_as_well() -> None:
    weight = torch.rand(3, 4)
    value = {"encoder": weight, "decoder": weight.T, "tied": weight, "row": weight[1]}
    found = again(value)
    assert all(torch.equal(found[name], tensor) for name, tensor in value.items())


def test_names_of_tensors_that_look_alike_do_not_collide() -> None:
    value = {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, "a']['b": torch.full((1,), 2.0)}
    found = again(value)
    assert [found["a.b"], found["a"]["b"], found["a']['b"]] == [0, 1, 2]


def test_other_tools_read_the_tensors_by_their_names() -> None:
    content = dump({"state_dict": {"encoder.bias": torch.ones(2)}, "states": [{0: torch.zeros(1)}]})
    assert safetensors.torch.load(content).keys() == {
        "['state_dict']['encoder.bias']",
        "['states'][0][0]",
    }


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", 1j, object(), [type]])
def test_what_would_not_be_the_same_again_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        dump({"a": value})


def written(values: str) -> bytes:
    return safetensors.torch.save({"a": torch.zeros(2)}, {"values": values})


@pytest.mark.parametrize(
    "values",
    [
        "",
        "{}",
        '{"set": [1]}',
        '{"dict": [], "tuple": []}',
        '{"tensor": "b"}',
        '{"tensor": ["a"]}',
        '[{"tensor": "a"}, {"tensor": "a"}]',
        '{"dict": [[[], 1]]}',
        '{"dict": 1}',
        "[" * 100_000,
        '{"tuple": ' * 100_000,
        "1" * 100_000,
    ],
)
def test_values_that_it_did_not_write_are_an_error(values: str) -> None:
    with pytest.raises(Exception, match=r".*"):
        load(written(values))


def test_a_file_with_a_byte_changed_is_an_error_or_other_values() -> None:
    """Anything but an exception of Python's would end the process."""
    refused = 0
    for content in damaged(dump({"a": torch.rand(8), "b": {0: (1, [2.5])}}), 2000):
        try:
            load(content)
        except Exception:
            refused += 1
    assert 400 < refused < 2000  # those cut short, and not those with another number


def test_a_header_that_claims_more_than_the_file_has_takes_no_memory() -> None:
    header = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps(header).encode()
    for size in (len(text), 2**40, 2**63):
        with pytest.raises(safetensors.SafetensorError):
            load(size.to_bytes(8, "little") + text)
