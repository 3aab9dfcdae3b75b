"""Time fae beside its peers, round by round, and write docs/speed/<processor>.json and its tables.

    python -m benchmarks.bench

Every peer lives in a process of its own. In a round each trains for a few epochs from its own
start, one after the other, so that a machine that slows down slows all alike. Compared are
medians, as ratios, and only of those whose test errors agree.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import tables
from benchmarks.peer import Measured
from benchmarks.peers import ONCE, PEERS, peer
from fae.cli.compose import compose
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.errors import ConfigError
from fae.runs.provenance import tags

EPOCHS = {64: 12, 128: 9, 256: 6, 512: 5}
"""Epochs of a run by its network, so many that the median is of epochs without what a run begins
with, which fae stores beside the first ones."""
SIZES, ROUNDS = tuple(EPOCHS), 3
IMITATIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Environment variables by which a processor passes for a lesser one."""

IMPORTS = "import os, torch, pytorch_lightning; os._exit(0)"
FIRST_BATCH = """
from fae.runtime import process
process.begin()
import os, sys
from fae.runs.history import History
def stop(*_): sys.stdout.flush(); os._exit(0)
History.on_train_epoch_start = stop
from fae.train import main
sys.argv = ["train", "local=none"]
main()
"""
SWEEP = ("-m", "hidden=64,128,256,512", "local=none")


def main(folder: Path = tables.SPEED, sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> None:
    """Run everything and write it down, beside what was measured on other machines."""
    if imitated := [name for name in IMITATIONS if name in os.environ]:
        raise SystemExit(f"{', '.join(imitated)}: figures are those of a real processor")
    result: dict[str, Any] = {
        "machine": machine(),
        "method": f"Medians (quartiles) of {rounds} interleaved rounds of "
        f"{', '.join(map(str, EPOCHS.values()))} epochs for n = {', '.join(map(str, EPOCHS))} (of "
        "products 2), the first of each left out. One round, of some networks, of: "
        f"{'; '.join(ONCE)}.",
    }
    with tempfile.TemporaryDirectory() as scratch:
        result["commands"] = commands(Path(scratch), rounds)
        result["sweep"] = sweep(Path(scratch))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as processes:
        root = unpacked(Path(scratch))
        workers = {
            name: processes.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
            for name in PEERS
        }
        for loading in [worker.submit(load, name, root) for name, worker in workers.items()]:
            loading.result()
        result["epochs"] = {str(n): epochs(workers, n, root, rounds) for n in sizes}
        for worker in workers.values():  # all at once, as leaving Python takes seconds
            worker.shutdown(wait=False)
    (folder / f"{slug(result['machine'])}.json").write_text(json.dumps(result, indent=2) + "\n")
    tables.main(folder)


def epochs(
    workers: dict[str, ProcessPoolExecutor], n: int, root: Path, rounds: int
) -> dict[str, Any]:
    """The peers at one size: seconds an epoch, the first of each start left out."""
    measured: dict[str, list[Measured]] = defaultdict(list)
    refused: dict[str, str] = {}
    for number in range(rounds):
        for name, worker in workers.items():
            if name in refused or (name in ONCE and (number > 0 or n not in ONCE[name])):
                continue
            try:
                run = worker.submit(train, name, root, n).result()
            except ConfigError as error:  # this processor is too slow for a setting of its
                refused[name] = str(error)
                continue
            measured[name].append(run)
            print(f"n = {n}  {name}  {run.epoch_s[-1]:.3f} s  {run.test_mse}", flush=True)
    found = {name: summarized(runs) for name, runs in measured.items()}
    return found | {name: {"refused": why} for name, why in refused.items()}


def summarized(runs: list[Measured]) -> dict[str, Any]:
    """Of a peer's rounds: quartiles of the seconds, and the median of the errors, if any."""
    errors = [run.test_mse for run in runs if run.test_mse is not None]
    return {
        "train_s": quartiles([s for run in runs for s in run.train_s[1:]]),
        "epoch_s": quartiles([s for run in runs for s in run.epoch_s[1:]]),
        **({"test_mse": statistics.median(errors)} if errors else {}),
    }


def load(name: str, root: Path) -> None:
    """In a peer's own process: its libraries and images."""
    peer(name, root)


def train(name: str, root: Path, n: int) -> Measured:
    """In a peer's own process; the products have no test error for which epochs must be equal."""
    return peer(name, root).run(n, 2 if name in tables.PRODUCTS else EPOCHS[n])


def quartiles(seconds: list[float]) -> list[float]:
    """First quartile, median, third quartile; of less than three the median alone."""
    if len(seconds) < 3:
        return [statistics.median(seconds)]
    return [float(q) for q in np.quantile(seconds, [0.25, 0.5, 0.75])]


def commands(scratch: Path, rounds: int) -> dict[str, float]:
    """Seconds of whole processes, medians of interleaved rounds; the store is made before."""
    timed = {
        tables.BARE: ["-c", IMPORTS],
        tables.FIRST_BATCH: ["-c", FIRST_BATCH],
        "--help": ["-m", "fae.train", "--help"],
    }

    def seconds(arguments: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            env=environment(scratch),
            cwd=scratch,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - start

    seconds(timed[tables.FIRST_BATCH])
    taken = [{name: seconds(arguments) for name, arguments in timed.items()} for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in taken) for name in timed}


def sweep(scratch: Path) -> dict[str, Any]:
    """The paper's sweep as a whole process: seconds, most memory, and where the time went."""
    folder = scratch / "sweep"
    folder.mkdir()
    parts = folder / "parts.json"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.shares", str(time.time()), str(parts), *SWEEP],
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"the sweep ended with {status}")
    found: dict[str, Any] = json.loads(parts.read_text())
    found["shares"]["leaving Python"] = seconds - sum(found["shares"].values())
    return {"seconds": seconds, "peak_mib": usage.ru_maxrss / 1024, **found}


def environment(folder: Path) -> dict[str, str]:
    """Of a command in another folder: this code, these images, and a store there."""
    return {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "FAE_DATA": str(data_root()),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }


def data_root() -> Path:
    """Where the data set lies, absolute."""
    config = compose("local=none").data
    assert isinstance(config, FashionMNISTConfig)
    return config.root


def unpacked(scratch: Path) -> Path:
    """A folder where torchvision finds the data set, unpacked."""
    from torchvision.datasets import FashionMNIST

    compose("local=none").data.build().verify()
    raw = scratch / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (data_root() / "FashionMNIST" / "raw").glob("*.gz"):
        (raw / packed.name).symlink_to(packed)
    FashionMNIST(str(scratch), download=True)
    return scratch


def machine() -> dict[str, str]:
    """What was measured on what."""
    told = tags(compose("local=none"))
    return {
        "processor": told["fae.device"],
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "cores": str(psutil.cpu_count(logical=False)),
        "threads": told["fae.threads"],
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": told["fae.commit"] + (" with changes" if told["fae.dirty"] == "true" else ""),
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "Lightning": version("pytorch-lightning"),
        "MLflow": version("mlflow"),
        "Hydra": version("hydra-core"),
        "scikit-learn": version("scikit-learn"),
        "JAX": version("jax"),
    }


def slug(machine: dict[str, str]) -> str:
    """The name of a machine's file: ``amd-epyc-avx512``."""
    named = f"{machine['processor']} {machine['instruction set']}".lower()
    return re.sub("[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", named)).strip("-")


if __name__ == "__main__":
    main()
