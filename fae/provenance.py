"""Where a number comes from: code, versions, hardware."""

import hashlib
import json
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import torch

PROJECT = Path(__file__).resolve().parents[1]
TRAINING_CODE = (
    "data",
    "dropout",
    "learner",
    "linear",
    "loss",
    "metrics",
    "network",
    "optimizer",
    "randomness",
    "sources",
    "trainer",
    "training",
)
"""The modules that a result depends on."""


def fingerprint(determines_result: dict[str, Any], data_digest: str) -> str:
    """A hash of all that determines a result: configuration, data and training code."""
    code = [(PROJECT / "fae" / f"{module}.py").read_text() for module in TRAINING_CODE]
    text = json.dumps([determines_result, data_digest, torch.__version__, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tags(accelerator: str) -> dict[str, str]:
    """What a run is tagged with: commit, hardware, threads, versions."""
    commit = _git("rev-parse", "HEAD").strip()
    changes = _git("status", "--porcelain").strip()
    return {
        **({"mlflow.source.git.commit": commit} if commit else {}),
        "fae.commit": commit or "unknown",
        "fae.dirty": str(bool(changes)).lower() if commit else "unknown",
        "fae.device": torch.cuda.get_device_name() if accelerator == "gpu" else _processor(),
        "fae.host": platform.node(),
        "fae.threads": str(torch.get_num_threads()),
        "fae.python": platform.python_version(),
        "fae.torch": torch.__version__,
        "fae.lightning": version("pytorch-lightning"),
    }


def uncommitted_diff() -> str:
    """A patch from the commit to the working tree; new files are named ahead of it."""
    new = _git("ls-files", "--others", "--exclude-standard").splitlines()
    return "".join(f"# new: {name}\n" for name in new) + _git("diff", "HEAD")


@cache
def installed_versions() -> str:
    """Every installed distribution, a ``name==version`` a line."""
    return "\n".join(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})) + "\n"


def _git(*arguments: str) -> str:
    """What git says, or nothing where there is no git or no repository."""
    try:
        command = ["git", "-C", str(PROJECT), *arguments]
        said = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.decode(errors="replace")


def _processor() -> str:
    """The processor's name, as precisely as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
