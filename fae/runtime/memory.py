"""How much memory this process may still take."""

from pathlib import Path

ROOT = Path("/")
"""Where the system describes itself below, in ``proc`` and ``sys``."""


def available() -> int:
    """Bytes that a process can take without others being swapped out, as far as it is allowed.

    Bounded by the memory of its control group, which a container or Slurm sets.
    """
    import psutil

    return min([int(psutil.virtual_memory().available), *_limits()])


def _limits() -> list[int]:
    """The limits, in bytes, of this process's control group (version 2) and those above it."""
    mounted, told = ROOT / "sys/fs/cgroup", ROOT / "proc/self/cgroup"
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    groups = [mounted / line[3:].strip("/") for line in lines if line.startswith("0::")]
    files = [place / "memory.max" for group in groups for place in (group, *group.parents)]
    limits = [file.read_text("utf-8").strip() for file in files if file.is_file()]
    return [int(limit) for limit in limits if limit.isdecimal()]
