"""Where a number comes from: code, versions, hardware."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

import torch

from fae.config import TrainingConfig
from fae.models import kernels
from fae.runtime import processor
from fae.runtime.installation import checkout

PROJECT = checkout()


def tags(config: TrainingConfig) -> dict[str, str]:
    """What a run is tagged with: commit, hardware, kernels, threads, versions."""
    return {**software(), **hardware(config)}


def software() -> dict[str, str]:
    """The tags that tell which code and which libraries run, and on which host."""
    return {
        **code(),
        "fae.host": platform.node(),
        "fae.python": platform.python_version(),
        "fae.torch": torch.__version__,
        "fae.lightning": version("pytorch-lightning"),
    }


def code() -> dict[str, str]:
    """The tags that tell which code computes."""
    commit = _git("rev-parse", "HEAD").strip()
    changes = _git("status", "--porcelain").strip()
    return {
        "fae.commit": commit or "unknown",
        "fae.dirty": str(bool(changes)).lower() if commit else "unknown",
    }


def hardware(config: TrainingConfig) -> dict[str, str]:
    """The tags that tell on what a run is computed, and so how it rounds."""
    on_gpu = config.trainer.accelerator == "gpu"
    return {
        "fae.device": torch.cuda.get_device_name() if on_gpu else processor.name(),
        "fae.kernels": f"CUDA {torch.version.cuda}" if on_gpu else _kernels(config),
        "fae.threads": str(torch.get_num_threads()),
    }


def _kernels(config: TrainingConfig) -> str:
    by_threads = f", in {torch.get_num_threads()} threads" * config.model.depends_on_threads
    if config.trainer.precision == "bf16-mixed":
        return f"{processor.instructions()}, bfloat16{by_threads}"
    with kernels.using(config.trainer.kernels):
        return kernels.describe() + by_threads


def uncommitted_diff() -> str:
    """A patch from the commit to the working tree; new files are named ahead of it."""
    new = _git("ls-files", "--others", "--exclude-standard").splitlines()
    return "".join(f"# new: {name}\n" for name in new) + _git("diff", "HEAD")


def changed_since(commit: str, files: Iterable[Path]) -> list[str]:
    """Which files of the checkout differ from a commit, as far as git here knows it.

    Args:
        commit: anything, as a store may have it.
    """
    ours = [str(file) for file in files if PROJECT and file.is_relative_to(PROJECT)]
    if not re.fullmatch("[0-9a-f]{40,64}", commit) or not ours:
        return []
    return _git("diff", "--name-only", commit, "--", *ours).splitlines()


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
