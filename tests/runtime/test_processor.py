"""What a processor is and has, by descriptions of several systems."""

import os
from collections.abc import Mapping
from pathlib import Path

import joblib
import pytest
import torch

from fae.errors import ConfigError
from fae.runtime import processor

AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B45\n"
INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) @ 2.20GHz\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty system."""
    monkeypatch.setattr(processor, "ROOT", tmp_path)
    (tmp_path / "proc").mkdir()
    return tmp_path


@pytest.fixture
def capabilities(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What torch finds the processor to have: nothing, unless a test adds it."""
    found: dict[str, object] = {}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    return found


@pytest.mark.parametrize(
    ("cpuinfo", "name", "vendor"),
    [
        (AMD + AMD.replace("9B45", "other"), "AMD EPYC 9B45", "AMD"),
        (INTEL, "Intel(R) Xeon(R) @ 2.20GHz", "Intel"),
        (ARM, "Neoverse-N1", "ARM"),
        ("", "Neoverse-N1", "Neoverse-N1"),
    ],
)
def test_the_name_and_the_maker_are_the_systems(
    root: Path, capabilities: dict[str, object], cpuinfo: str, name: str, vendor: str
) -> None:
    capabilities["cpu_name"] = "Neoverse-N1"
    (root / "proc/cpuinfo").write_text(cpuinfo)
    assert (processor.name(), processor.vendor()) == (name, vendor)


@pytest.mark.usefixtures("root", "capabilities")
def test_a_system_that_says_nothing_has_a_name() -> None:
    assert processor.name()
    assert processor.vendor()


@pytest.mark.parametrize(
    ("has", "torch_uses", "environment", "expected"),
    [
        ({"avx2": True}, "AVX2", {}, False),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "AVX512", {}, False),
        ({"avx2": True, "avx512_bf16": True}, "AVX512", {}, True),
        ({"avx2": True, "amx_bf16": True}, "AVX512", {}, True),
        ({"neon": True, "bf16": True}, "DEFAULT", {}, True),
        ({"neon": True, "bf16": False}, "DEFAULT", {}, False),
        ({"avx2": True, "avx512_bf16": True}, "AVX2", {}, False),
        ({"avx2": True, "avx512_bf16": True}, "DEFAULT", {}, False),
        ({"avx2": True, "amx_bf16": True}, "AVX512", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, False),
        ({"avx2": True, "avx512_bf16": True}, "AVX512", {"ONEDNN_MAX_CPU_ISA": "ALL"}, True),
    ],
)
def test_bfloat16_is_of_instructions_that_are_there_and_used(
    capabilities: dict[str, object],
    has: Mapping[str, bool],
    torch_uses: str,
    environment: Mapping[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capabilities.update(has)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: torch_uses)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processor.has_bfloat16() is expected


def test_bfloat16_that_onednn_does_not_use_does_not_count(
    capabilities: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``ONEDNN_MAX_CPU_ISA=AVX2`` in the environment when the process starts."""
    capabilities["avx512_bf16"] = True
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert processor.has_bfloat16() is False


@pytest.mark.parametrize(
    ("siblings", "allowed", "quota", "expected"),
    [
        ({}, {0, 1, 2}, 9, 3),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0, 1, 2, 3}, 9, 2),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1}, 9, 1),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {1, 2}, 9, 2),
        ({0: "0", 1: "1", 2: "2", 3: "3"}, {0, 1, 2, 3}, 3, 3),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1, 2, 3}, 3, 2),
    ],
    ids=["no topology", "hyper-threads", "one core", "two cores", "quota", "quota of threads"],
)
def test_cores_are_those_that_this_process_may_use(
    root: Path,
    siblings: Mapping[int, str],
    allowed: set[int],
    quota: int,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, together in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{together}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: quota)
    assert processor.cores() == expected


def test_a_system_without_affinity_counts_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    asked: list[dict[str, bool]] = []

    def cpu_count(**options: bool) -> int:
        asked.append(options)
        return 8

    monkeypatch.setattr(joblib, "cpu_count", cpu_count)
    assert processor.cores() == 8
    assert asked == [{"only_physical_cores": True}]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOKY_MAX_CPU_COUNT", "many"),
        ("SLURM_CPUS_PER_TASK", "many"),
        ("SLURM_CPUS_PER_TASK", "-2"),
        ("SLURM_CPUS_PER_TASK", "0"),
    ],
)
def test_a_bound_in_the_environment_that_is_no_number_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        ConfigError, match=f"^{variable}={value}: must be a whole number above 0, or unset$"
    ):
        processor.cores()
