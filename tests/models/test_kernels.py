"""Which library computes products: by the processor, by a timing that is remembered, by force."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn.functional import linear

from fae.models import kernels
from fae.models.layers import linear as layer
from fae.models.layers.linear import product
from fae.runtime import processor


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered, neither before a test nor after it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    kernels.quicker.cache_clear()
    yield
    os.environ.pop(kernels.VARIABLE, None)
    kernels.quicker.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, vendor: str, instructions: str) -> None:
    monkeypatch.setattr(processor, "vendor", lambda: vendor)
    monkeypatch.setattr(processor, "instructions", lambda: instructions)


def never() -> str:
    raise AssertionError("timed, though it is known")


@pytest.mark.parametrize("library", kernels.LIBRARIES)
@pytest.mark.parametrize("sizes", [(1000, 784, 64), (7, 3, 5), (1, 1, 1)], ids=str)
def test_products_are_pytorchs_to_1e_5(library: str, sizes: tuple[int, int, int]) -> None:
    rows, inner, columns = sizes
    torch.manual_seed(0)
    left, right, bias = torch.rand(rows, inner), torch.rand(columns, inner), torch.rand(columns)
    before = left.clone()
    with kernels.using(library):
        torch.testing.assert_close(product(left, right), left @ right.T)
        torch.testing.assert_close(product(left, right, bias), linear(left, right, bias))
        other = torch.rand(rows, columns)
        torch.testing.assert_close(product(left.T, other.T), left.T @ other)
    assert torch.equal(left, before)


@pytest.mark.parametrize(
    ("vendor", "instructions", "library"), [("AMD", "AVX512", "onednn"), ("AMD", "AVX2", "torch")]
)
def test_the_processor_decides_where_it_was_measured(
    vendor: str, instructions: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, vendor, instructions)
    monkeypatch.setattr(kernels, "_timed", never)
    assert kernels.quicker() == library


@pytest.mark.parametrize("library", kernels.LIBRARIES)
def test_a_timing_is_remembered_by_the_user_and_by_processes_of_a_launcher(
    library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, "Intel", "AVX512")
    monkeypatch.setattr(kernels, "_timed", lambda: library)
    assert kernels.quicker() == library
    monkeypatch.setattr(kernels, "_timed", never)
    memory = os.environ.pop(kernels.VARIABLE)
    kernels.quicker.cache_clear()
    assert kernels.quicker() == library, "by the file"
    (file,) = tmp_path.glob("fae/kernels-*.json")
    file.unlink()
    os.environ[kernels.VARIABLE] = memory
    kernels.quicker.cache_clear()
    assert kernels.quicker() == library, "by the environment"


@pytest.mark.parametrize(
    "memory", ["", "[]", "{}", '{"kind": "another", "quicker": "onednn"}', "[" * 100_000]
)
def test_the_memory_of_another_machine_or_of_none_does_not_count(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "Intel", "AVX512")
    monkeypatch.setenv(kernels.VARIABLE, memory)
    monkeypatch.setattr(kernels, "_timed", lambda: "torch")
    assert kernels.quicker() == "torch"
    assert json.loads(os.environ[kernels.VARIABLE])["quicker"] == "torch"


def test_a_cache_that_is_damaged_is_written_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, "Intel", "AVX512")
    monkeypatch.setattr(kernels, "_timed", lambda: "torch")
    kernels.quicker()
    (file,) = tmp_path.glob("fae/kernels-*.json")
    content = file.read_bytes()
    file.write_bytes(b"\xff")
    monkeypatch.delenv(kernels.VARIABLE)
    kernels.quicker.cache_clear()
    assert kernels.quicker() == "torch"
    assert file.read_bytes() == content


def test_a_cache_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, "Intel", "AVX512")
    (tmp_path / "fae").write_text("a file where the folder should be")
    monkeypatch.setattr(kernels, "_timed", lambda: "onednn")
    assert kernels.quicker() == "onednn"


def test_the_timing_takes_the_library_that_takes_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0, "onednn": 1.0, "torch": 2.0}

    def slow_product(*factors: torch.Tensor) -> torch.Tensor:
        library = kernels._in_use.get()
        assert library is not None
        clock["now"] += clock[library]
        return factors[0]

    monkeypatch.setattr(layer, "product", slow_product)
    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])
    assert kernels._timed() == "onednn"
    clock["onednn"] = 1.95
    assert kernels._timed() == "torch", "not clearly quicker"


def test_without_onednn_products_are_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert kernels.quicker() == "torch"


def test_force_holds_within_its_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "AMD", "AVX512")
    assert kernels.describe() == "AVX512, oneDNN"
    with kernels.using("torch"):
        threads = torch.get_num_threads()
        assert kernels.describe() == f"AVX512, MKL in {threads} threads"
        with kernels.using("auto"):
            assert kernels.describe() == "AVX512, oneDNN"
    assert kernels.describe() == "AVX512, oneDNN"


@pytest.mark.parametrize("library", kernels.LIBRARIES)
def test_what_a_run_says_of_its_kernels_names_their_library(library: str) -> None:
    with kernels.using(library):
        assert kernels.described(kernels.describe()) == library


@pytest.mark.parametrize(
    ("description", "library"),
    [
        ("AVX2, oneDNN up to AVX2", "onednn"),
        ("DEFAULT, PyTorch in 8 threads", "torch"),
        ("AVX512, bfloat16", "auto"),
        ("CUDA 12.8", "auto"),
        ("mixed bits: a, AVX512, oneDNN, then b, AVX2, MKL in 2 threads", "auto"),
        ("", "auto"),
    ],
)
def test_the_library_is_read_from_a_description(description: str, library: str) -> None:
    assert kernels.described(description) == library


def test_a_library_that_is_not_here_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert kernels.described("AVX512, oneDNN") == "auto"
