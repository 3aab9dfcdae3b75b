"""Time fae beside its peers, round by round, and write docs/speed.json and docs/speed-table.md.

    python -m benchmarks.bench

Every peer lives in a process of its own. In a round each trains for a few epochs from its own
start, one after the other, so that a machine that slows down slows all alike. Compared are
medians, as ratios, and only of those whose test errors agree.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peer import Measured
from benchmarks.peers import PEERS, SLOW, Floor, peer
from fae.cli.compose import compose
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.runs.provenance import tags

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = (64, 128, 256, 512)
EPOCHS, ROUNDS, SLOW_ROUNDS = 4, 3, 1
SCOPES = {"train_s": "Training pass", "epoch_s": "Epoch with both evaluations"}

AGREE = {
    "fae": ("plain loop", 0.05),
    "fae, bf16-mixed": ("fae", 0.01),
    "fae, no dropout": ("scikit-learn, no dropout", 0.05),
    "scikit-learn, no dropout": ("fae, no dropout", 0.05),
}
"""Whose test errors a peer's must come close to, and how close; by default fae's, within 5 %, as
seeds differ by 2 %."""

FRAMEWORK = (
    "Hydra and the sweep",
    "run around the training",
    "MLflow",
    "Lightning",
    "history and progress",
    "checkpoints",
    "collecting garbage",
)
"""The parts of a sweep that are neither computing nor reading, drawing or reporting."""

PLACES = ("shares", "beside")
IMPORTS = "import torch, pytorch_lightning, mlflow.tracking, hydra"
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


def main() -> None:
    """Run everything and write it down."""
    result: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as scratch:
        result |= {"commands": commands(Path(scratch)), "sweep": sweep(Path(scratch))}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as processes:
        root = unpacked(Path(scratch))
        workers = {
            name: processes.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
            for name in PEERS
        }
        result["epochs"] = {str(n): rounds(workers, n, root) for n in SIZES}
    (DOCS / "speed.json").write_text(json.dumps(result, indent=2) + "\n")
    (DOCS / "speed-table.md").write_text(report(result))
    print(report(result), summary(result), sep="\n")


def rounds(workers: dict[str, ProcessPoolExecutor], n: int, root: Path) -> dict[str, Any]:
    """The peers at one size: seconds an epoch, the first of each start left out."""
    measured: dict[str, list[Measured]] = {name: [] for name in workers}
    for number in range(ROUNDS):
        for name, worker in workers.items():
            if name not in SLOW or number < SLOW_ROUNDS:
                run = worker.submit(train, name, root, n).result()
                measured[name].append(run)
                print(f"n = {n}  {name}  {run.epoch_s[-1]:.3f} s  {run.test_mse}", flush=True)
    return {
        name: {
            "train_s": quartiles([s for run in runs for s in run.train_s[1:]]),
            "epoch_s": quartiles([s for run in runs for s in run.epoch_s[1:]]),
            "test_mse": test_error(runs),
        }
        for name, runs in measured.items()
    }


def train(name: str, root: Path, n: int) -> Measured:
    """In a peer's own process."""
    return peer(name, root).run(n, EPOCHS)


def test_error(runs: list[Measured]) -> float | None:
    """The median, or None of matrix products alone."""
    errors = [run.test_mse for run in runs if run.test_mse is not None]
    return statistics.median(errors) if errors else None


def quartiles(seconds: list[float]) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(q) for q in np.quantile(seconds, [0.25, 0.5, 0.75])]


def commands(scratch: Path) -> dict[str, float]:
    """Seconds of whole processes, medians of five interleaved rounds; the store is made before."""
    timed = {
        "imports": ["-c", IMPORTS],
        "start to first batch": ["-c", FIRST_BATCH],
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

    seconds(timed["start to first batch"])
    taken = [{name: seconds(arguments) for name, arguments in timed.items()} for _ in range(5)]
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
    told = tags("cpu")
    return {
        "processor": told["fae.device"],
        "threads": told["fae.threads"],
        "commit": told["fae.commit"] + (" with changes" if told["fae.dirty"] == "true" else ""),
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "Lightning": version("pytorch-lightning"),
        "MLflow": version("mlflow"),
        "Hydra": version("hydra-core"),
        "scikit-learn": version("scikit-learn"),
        "JAX": version("jax"),
    }


def report(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    found = result["epochs"]
    parts = ["; ".join(f"{key}: {value}" for key, value in result["machine"].items()) + "."]
    for scope, title in SCOPES.items():
        rows = [["[s]", *(f"n = {n}" for n in found), "sum", "time / fae's"]]
        for name in PEERS:
            cells = ["{1:.3f} ({0:.3f} to {2:.3f})".format(*found[n][name][scope]) for n in found]
            total = sum(peers[name][scope][1] for peers in found.values())
            rows.append([name, *cells, f"{total:.2f}", over_ours(found, name, scope)])
        parts.append(f"{title}:\n\n{table(rows)}")
    rows = [["shares", *(f"n = {n}" for n in found)]]
    for ours, theirs, scope in (
        ("fae", "plain loop", "train_s"),
        ("fae, bf16-mixed", "plain loop", "train_s"),
        ("products by oneDNN", "fae", "epoch_s"),
    ):
        shares = (peers[ours][scope][1] / peers[theirs][scope][1] for peers in found.values())
        title = f"{ours} / {theirs}, {SCOPES[scope].lower()}"
        rows.append([title, *(f"{share:.2f}" for share in shares)])
    parts.append(table(rows))
    rows = [["test error", *(f"n = {n}" for n in found), "agrees"]]
    for name in PEERS:
        errors = [peers[name]["test_mse"] for peers in found.values()]
        if None not in errors:
            worst, agrees = agreement(found, name)
            cells = [f"{error:.4f}" for error in errors]
            rows.append([name, *cells, f"{'yes' if agrees else 'no'}, {worst:.1%}"])
    parts.append(f"Equal work, test errors after {EPOCHS} epochs (medians):\n\n{table(rows)}")
    for name in ("products by oneDNN", "products by PyTorch"):
        speeds = ", ".join(
            f"{Floor.operations(int(n)) / peers[name]['epoch_s'][1] / 1e9:.0f}"
            for n, peers in found.items()
        )
        parts.append(f"The {name} reach {speeds} GFLOP/s.")
    rows = [["whole command", "s"], *([k, f"{v:.2f}"] for k, v in result["commands"].items())]
    parts.append(table(rows))
    whole = result["sweep"]
    framework = sum(whole[where].get(part, 0) for where in PLACES for part in FRAMEWORK)
    rows = [["the paper's sweep", "s", "share"]]
    for name, seconds in [
        *whole["shares"].items(),
        ("in all", whole["seconds"]),
        *((f"beside it, in other threads: {part}", s) for part, s in whole["beside"].items()),
        (f"of it all the framework ({', '.join(FRAMEWORK)})", framework),
    ]:
        rows.append([name, f"{seconds:.2f}", f"{seconds / whole['seconds']:.1%}"])
    parts.append(f"{table(rows)}\n\nIts memory peaks at {whole['peak_mib']:.0f} MiB.")
    return "\n\n".join(parts) + "\n"


def summary(result: dict[str, Any]) -> str:
    """The table of the README: epochs with both evaluations, summed over the networks."""
    found = result["epochs"]
    sums = {name: sum(peers[name]["epoch_s"][1] for peers in found.values()) for name in PEERS}
    rows = [["", "seconds", "time / fae's"]]
    for name in sorted(sums, key=lambda name: sums[name]):
        rows.append([name, f"{sums[name]:.2f}", over_ours(found, name, "epoch_s")])
    return table(rows)


def over_ours(found: dict[str, Any], name: str, scope: str) -> str:
    """A peer's time over fae's, if equal work is shown; with dropout as there."""
    ours = "fae, no dropout" if "no dropout" in name else "fae"
    if name.startswith("fae"):
        return ""
    if not name.startswith("products") and not agreement(found, name)[1]:
        return "errors differ"
    theirs, fae = (sum(peers[n][scope][1] for peers in found.values()) for n in (name, ours))
    return f"{theirs / fae:.2f}"


def agreement(found: dict[str, Any], name: str) -> tuple[float, bool]:
    """How far a peer's test errors are from those that they must agree with, and if they do."""
    reference, bound = AGREE.get(name, ("fae", 0.05))
    worst = max(
        abs(float(peers[name]["test_mse"]) / peers[reference]["test_mse"] - 1)
        for peers in found.values()
    )
    return worst, worst < bound


def table(rows: list[list[str]]) -> str:
    """Rows, the first of them the heading, in Markdown."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


if __name__ == "__main__":
    main()
