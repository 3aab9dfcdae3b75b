"""Where a number comes from: code, versions, hardware."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions, version

import torch

from fae.models import kernels
from fae.runtime import processor
from fae.runtime.installation import checkout

PROJECT = checkout()


def tags(accelerator: str) -> dict[str, str]:
    """What a run is tagged with: commit, hardware, threads, versions."""
    commit = _git("rev-parse", "HEAD").strip()
    changes = _git("status", "--porcelain").strip()
    return {
        "fae.commit": commit or "unknown",
        "fae.dirty": str(bool(changes)).lower() if commit else "unknown",
        "fae.device": _device(accelerator),
        "fae.host": platform.node(),
        "fae.kernels": _kernels(accelerator),
        "fae.threads": str(torch.get_num_threads()),
        "fae.python": platform.python_version(),
        "fae.torch": torch.__version__,
        "fae.lightning": version("pytorch-lightning"),
    }


def computing(accelerator: str) -> str:
    """The device and the kernels that compute, such as ``AMD EPYC, AVX512, oneDNN``."""
    return f"{_device(accelerator)}, {_kernels(accelerator)}"


def _device(accelerator: str) -> str:
    return torch.cuda.get_device_name() if accelerator == "gpu" else processor.name()


def _kernels(accelerator: str) -> str:
    return f"CUDA {torch.version.cuda}" if accelerator == "gpu" else kernels.describe()


def uncommitted_diff() -> str:
    """A patch from the commit to the working tree; new files are named ahead of it."""
    new = _git("ls-files", "--others", "--exclude-standard").splitlines()
    return "".join(f"# new: {name}\n" for name in new) + _git("diff", "HEAD")


@cache
def installed_versions() -> str:
    """Every installed distribution, a ``name==version`` a line."""
    found = (distribution.metadata for distribution in distributions())  # takes long: read once
    return "\n".join(sorted({f"{about['Name']}=={about['Version']}" for about in found})) + "\n"


def _git(*arguments: str) -> str:
    """What git says of fae's own checkout; nothing where there is no git, or no checkout.

    A repository that fae is merely installed in is somebody else's, and so is one that the
    environment names, as it does within git's hooks.
    """
    if PROJECT is None:
        return ""
    others = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**others, "GIT_CEILING_DIRECTORIES": str(PROJECT.parent)}
    try:
        command = ["git", "-C", str(PROJECT), *arguments]
        said = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.decode(errors="replace")
