"""Time fae beside its peers, round by round, and write docs/speed.json and docs/speed.md.

    python -m benchmarks.bench

In a round every peer trains for a few epochs from its own start, one after the other, so
that a machine that slows down slows all alike. Compared are medians, as ratios. A peer
counts only if its test error agrees with the others'.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import FashionMNIST

from benchmarks.peers import (
    Expert,
    Fae,
    Floor,
    Idiomatic,
    InMemory,
    Jax,
    Measured,
    Peer,
    ScikitLearn,
    Template,
)
from fae.compose import compose
from fae.provenance import tags
from fae.sources import build_source, split_at_random

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = (64, 128, 256, 512)
ROUNDS, EPOCHS = 5, 4
SLOW_ROUNDS, SLOW_EPOCHS = 2, 2
"""Of the peers that load image by image: an epoch of theirs takes many seconds."""

AGREE = 0.05
"""Test errors after the same epochs agree if they differ by less: seeds differ by 2 %."""

IMPORTS = "import torch, pytorch_lightning, mlflow.tracking, hydra"
FIRST_BATCH = """
import os, sys, time
from fae.history import History
def stop(*_): sys.stdout.flush(); os._exit(0)
History.on_train_epoch_start = stop
from fae.train import main
sys.argv = ["train", "local=none"]
main()
"""


def main() -> None:
    """Run everything and write it down."""
    config = compose("local=none")
    source = build_source(config.data)
    source.verify()
    train, val = split_at_random(source.training(), 50_000, 10_000, 0)
    images = InMemory(*(part.as_floats().pixels for part in (train, val, source.test())))
    with tempfile.TemporaryDirectory() as scratch:
        root = unpacked(Path(scratch), Path(str(config.plain()["data"]["root"])))
        quick: dict[str, Peer] = {
            "floor": Floor(),
            "expert": Expert(images),
            "expert, compiled": Expert(images, compiled=True),
            "fae": Fae(Path(scratch), "32-true"),
            "fae, bf16-mixed": Fae(Path(scratch), "bf16-mixed"),
        }
        slow: dict[str, Peer] = {
            "idiomatic, 0 workers": Idiomatic(root, 0),
            "idiomatic, 2 workers": Idiomatic(root, 2),
            "template": Template(root),
            "scikit-learn": ScikitLearn(images),
            "JAX": Jax(images),
        }
        found = {
            n: {**rounds(quick, n, ROUNDS, EPOCHS), **rounds(slow, n, SLOW_ROUNDS, SLOW_EPOCHS)}
            for n in SIZES
        }
        commands = whole_commands(Path(scratch))
    result = {"machine": machine(), "epochs": found, "commands": commands}
    (DOCS / "speed.json").write_text(json.dumps(result, indent=2) + "\n")
    (DOCS / "speed-table.md").write_text(report(result))
    print(report(result))


def rounds(peers: dict[str, Peer], n: int, count: int, epochs: int) -> dict[str, Any]:
    """The peers at one size: seconds an epoch, the first of each start left out."""
    measured: dict[str, list[Measured]] = {name: [] for name in peers}
    for _ in range(count):
        for name, peer in peers.items():
            measured[name].append(peer.run(n, epochs))
            print(f"n = {n}  {name}  {measured[name][-1].epoch_s[-1]:.3f} s", flush=True)
    return {
        name: {
            "train_s": quartiles([s for run in runs for s in run.train_s[1:]]),
            "epoch_s": quartiles([s for run in runs for s in run.epoch_s[1:]]),
            "epochs": epochs,
            "test_mse": None
            if runs[0].test_mse is None
            else float(np.median([run.test_mse for run in runs])),
        }
        for name, runs in measured.items()
    }


def quartiles(seconds: list[float]) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(q) for q in np.quantile(seconds, [0.25, 0.5, 0.75])]


def whole_commands(scratch: Path) -> dict[str, float]:
    """Seconds of whole processes, medians of three (the sweep: once)."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/mlflow.db"}

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=scratch, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        return time.perf_counter() - start

    def median(*command: str) -> float:
        return float(np.median([seconds(*command) for _ in range(3)]))

    return {
        "imports": median("-c", IMPORTS),
        "start to first batch": median("-c", FIRST_BATCH),
        "--help": median("-m", "fae.train", "--help"),
        "sweep": seconds("-m", "fae.train", "-m", "hidden=64,128,256,512", "local=none"),
    }


def unpacked(scratch: Path, data: Path) -> Path:
    """A folder where torchvision finds the data set, unpacked."""
    raw = scratch / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (data / "FashionMNIST" / "raw").glob("*.gz"):
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
        "scikit-learn": version("scikit-learn"),
        "JAX": version("jax"),
    }


def report(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    found = result["epochs"]
    sizes = list(found)
    names = list(found[sizes[0]])
    lines = [f"{key}: {value}" for key, value in result["machine"].items()]
    parts = ["; ".join(lines) + "."]
    for scope, title in (("train_s", "Training pass"), ("epoch_s", "Epoch with both evaluations")):
        rows = [["[s]", *(f"n = {n}" for n in sizes), "sum", "fae is faster by"]]
        fae = sum(found[n]["fae"][scope][1] for n in sizes)
        for name in names:
            medians = [found[n][name][scope] for n in sizes]
            total = sum(m[1] for m in medians)
            cells = [f"{m[1]:.3f} ({m[0]:.3f} to {m[2]:.3f})" for m in medians]
            rows.append([name, *cells, f"{total:.2f}", f"{total / fae:.2f}"])
        parts.append(f"{title}:\n\n{table(rows)}")
    rows = [["test error", *(f"n = {n}" for n in sizes), "epochs", "agrees"]]
    for name in names:
        if name != "floor":
            errors = [found[n][name]["test_mse"] for n in sizes]
            cells = [f"{error:.4f}" for error in errors]
            epochs = found[sizes[0]][name]["epochs"]
            rows.append([name, *cells, str(epochs), agreement(found, name)])
    parts.append(f"Equal work, test errors after so many epochs:\n\n{table(rows)}")
    speeds = [
        f"{Floor.operations(int(n)) / found[n]['floor']['epoch_s'][1] / 1e9:.0f}" for n in sizes
    ]
    parts.append(f"The floor's products reach {', '.join(speeds)} GFLOP/s.")
    rows = [["whole command", "s"], *([k, f"{v:.2f}"] for k, v in result["commands"].items())]
    parts.append(table(rows))
    return "\n\n".join(parts) + "\n"


def agreement(found: dict[Any, Any], name: str) -> str:
    """Whether a peer's errors are within 5 % of the median of all that ran as many epochs."""
    worst = 0.0
    for peers in found.values():
        alike = [
            peer["test_mse"]
            for peer in peers.values()
            if peer["test_mse"] and peer["epochs"] == peers[name]["epochs"]
        ]
        worst = max(worst, abs(peers[name]["test_mse"] / float(np.median(alike)) - 1))
    return "yes" if worst < AGREE else f"no, {worst:.0%}"


def table(rows: list[list[str]]) -> str:
    """Rows, the first of them the heading, in Markdown."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


if __name__ == "__main__":
    main()
