"""What this processor is and has: its name, its instructions, the cores that this process may use.

torch and joblib are imported where they are needed, so that this is light at import.
"""

import os
import platform
import re
import sys
from pathlib import Path

from fae.errors import ConfigError

VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "0x41": "ARM", "0xc0": "Ampere"}
"""By what Linux calls them: ``vendor_id``, or ``CPU implementer`` of an ARM processor."""
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions that multiply in bfloat16: of AMD and Intel, of Intel, of ARM."""
WITHOUT_BFLOAT16 = ("avx512_core", "avx512_core_vnni")
"""Levels of ``ONEDNN_MAX_CPU_ISA`` at which oneDNN computes in bfloat16 by other instructions."""
OF_A_SLURM_JOB = "SLURM_CPUS_PER_TASK"
"""Variable with the number of CPUs that a job of Slurm asked for."""
ROOT = Path("/")
"""Where the system describes itself below, in ``proc`` and ``sys``."""


def name() -> str:
    """The processor's name, as precisely as the system tells it."""
    import torch

    known = _cpuinfo("model name") or str(torch.cpu.get_capabilities().get("cpu_name", ""))
    return known or platform.processor() or platform.machine()


def vendor() -> str:
    """The processor's maker, such as AMD or Intel; the first word of its name where unlisted."""
    listed = VENDORS.get(_cpuinfo("vendor_id") or _cpuinfo("CPU implementer"))
    return listed or name().split()[0]


def instructions() -> str:
    """The instructions that torch's own kernels use: AVX512, AVX2, DEFAULT or others.

    ``ATEN_CPU_CAPABILITY`` in the environment imitates a processor that has fewer.
    """
    import torch

    return torch.backends.cpu.get_cpu_capability()


def has_bfloat16() -> bool:
    """Whether this processor has instructions that multiply in bfloat16, and torch uses them.

    Not where the environment imitates one without, by ``ATEN_CPU_CAPABILITY`` or oneDNN's
    ``ONEDNN_MAX_CPU_ISA``.
    """
    import torch

    has = torch.cpu.get_capabilities()
    if not any(has.get(instruction) for instruction in BFLOAT16):
        return False
    if has.get("avx2") and instructions() in ("AVX2", "DEFAULT"):
        return False
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").lower() in WITHOUT_BFLOAT16:
        return False
    onednn = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and bool(onednn._is_mkldnn_bf16_supported())


def cores() -> int:
    """Number of cores that this process may use, at least 1.

    Bounded by its affinity (``taskset``), by the quota of its container, and by what it asked Slurm
    for, which not every cluster enforces; the hyper-threads of one core count once.

    Raises:
        ConfigError: Slurm's number in the environment, or joblib's own bound, is no number.
    """
    try:
        usable = _usable_cores()
    except ValueError as error:
        raise _no_number("LOKY_MAX_CPU_COUNT") from error
    return min(_asked_of_slurm(), usable)


def _no_number(variable: str) -> ConfigError:
    value = os.environ.get(variable)
    return ConfigError(f"{variable}={value}: must be a whole number above 0, or unset")


def _asked_of_slurm() -> int:
    asked = os.environ.get(OF_A_SLURM_JOB)
    if not asked:
        return sys.maxsize
    if not asked.isdecimal() or int(asked) == 0:
        raise _no_number(OF_A_SLURM_JOB)
    return int(asked)


def _usable_cores() -> int:
    from joblib import cpu_count

    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return int(cpu_count(only_physical_cores=True))
    return min(len(set(map(_siblings, os.sched_getaffinity(0)))), int(cpu_count()))


def _siblings(processor: int) -> str:
    """The hyper-threads of the core that one belongs to, such as ``0,4``; a core of its own where
    the system does not say.
    """
    told = ROOT / f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"
    return told.read_text() if told.exists() else str(processor)


def _cpuinfo(key: str) -> str:
    """The first value of a key of Linux's description of its processors; empty if it has none."""
    told = ROOT / "proc/cpuinfo"
    text = told.read_text("utf-8", "replace") if told.exists() else ""
    found = re.search(rf"^{key}\s*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return found[1] if found else ""
