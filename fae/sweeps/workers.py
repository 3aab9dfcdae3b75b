"""The processes of joblib's launcher: each has its share of the cores and, if asked for, a GPU.

Imported by each of them before torch, which reads what this sets in the environment.
"""

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from fae.cli.launchers import JOBLIB
from fae.runtime.console import warn

if TYPE_CHECKING:
    from fae.config import Config

_slots: list[FileLock] = []
"""Held until this process ends, when the kernel releases them."""


def share_machine(launcher: Any, configs: Iterable["Config"], folder: Path) -> None:
    """Have joblib's launcher divide the cores and GPUs of this machine among its processes.

    There are at most as many processes as cores, so that no two compete for one. Other launchers
    are left as they are.

    Args:
        launcher: any of Hydra's.
        configs: of the jobs, which may ask for a GPU.
        folder: of the sweep, for locks.
    """
    # By its name, as Hydra may load the module of a plugin again.
    if f"{type(launcher).__module__}.{type(launcher).__name__}" != JOBLIB:
        return
    import torch
    from joblib import effective_n_jobs

    from fae.runtime.processor import cores

    available = cores()
    # joblib counts hyper-threads.
    os.environ["LOKY_MAX_CPU_COUNT"] = str(available)
    asked = effective_n_jobs(launcher.joblib["n_jobs"])
    at_once = min(asked, available)
    if asked > at_once:
        warn(f"hydra.launcher.n_jobs={asked}: more than the cores; {at_once} runs at a time")
    share = available // at_once
    threads = min(share, torch.get_num_threads())
    on_gpu = any(config.trainer.accelerator == "gpu" for config in configs)
    devices = visible_devices() if on_gpu else []
    launcher.joblib |= {
        "n_jobs": at_once,
        "initializer": begin_worker,
        "initargs": (share, threads, devices, folder),
    }


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def begin_worker(cores: int, threads: int, devices: Sequence[str], folder: Path) -> None:
    """Bound what this process uses, before its first job.

    Args:
        cores: its share of them, also for processes that it starts.
        threads: that it computes in.
        devices: the GPUs to be shared; it gets one, in turn.
        folder: for the locks by which processes know each other's.
    """
    os.environ["LOKY_MAX_CPU_COUNT"] = str(cores)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[_take_slot(folder) % len(devices)]


def _take_slot(folder: Path) -> int:
    """The first number, from 0, that no living process of the sweep has taken."""
    for number in itertools.count():
        slot = FileLock(folder / f".worker-{number}.lock")
        try:
            slot.acquire(timeout=0)
        except Timeout:
            continue
        _slots.append(slot)
        return number
    raise AssertionError
