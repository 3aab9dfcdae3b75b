"""Time how cost grows, and write docs/growth.md.

    python -m benchmarks.growth

Hidden units, images in a minibatch, runs of a sweep, runs in the store, and two jobs at a time
instead of one. Medians of rounds, but for the sweeps, which run once; whole commands are new
processes.
"""

import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import torch

from benchmarks.bench import environment, machine
from benchmarks.in_memory import Expert
from benchmarks.peer import InMemory, Peer
from benchmarks.peers import Fae, Floor
from benchmarks.tables import DOCS, table
from fae.models.kernels import LIBRARIES

EPOCHS, ROUNDS = 3, 3
HIDDEN = (16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (100, 300, 1000, 3000, 10_000)
RUNS = (4, 20, 60, 200)
SEEDS = 4
STORED = 10_000
SMOKE = "experiment=smoke hidden=8 local=none sweep.rerun=true"
PAPER = "-m hidden={} epochs=10 local=none sweep.rerun=true"


def main() -> None:
    """Run everything and write it down."""
    parts = [
        "# How cost grows",
        "Written by `make bench-growth`: medians of rounds, but for the sweeps, which ran once.\n"
        + "; ".join(f"{key}: {value}" for key, value in machine().items())
        + ".",
        *by_hidden(),
        *by_batch(),
        *by_runs(),
        *by_store(),
        *by_jobs(),
    ]
    (DOCS / "growth.md").write_text("\n\n".join(parts) + "\n")


def by_hidden() -> Iterator[str]:
    """Networks of more and more hidden units."""
    rows = [["n", "fae, s an epoch", "products alone", "share of the products"]]
    for n in HIDDEN:
        floors: dict[str, Peer] = {library: Floor(library) for library in LIBRARIES}
        fae, *products = epochs({"fae": Fae(), **floors}, n)
        floor = min(products)
        rows.append([str(n), f"{fae:.3f}", f"{floor:.3f}", f"{floor / fae:.0%}"])
    yield "## Hidden units"
    yield (
        "Above some 256 units time grows with n; below, what a step and an epoch cost whatever n\n"
        "is grows in weight. The products are the quicker library's; an epoch of fae is all that\n"
        "comes with it."
    )
    yield shown(rows)


def by_batch() -> Iterator[str]:
    """Minibatches of more and more images."""
    rows = [["batch_size (n = 256)", "fae, s an epoch", "plain loop", "plain loop's time / fae's"]]
    for batch in BATCHES:
        peers: dict[str, Peer] = {
            "fae": Fae(f"batch_size={batch}"),
            "plain": Expert(InMemory.read(), batch=batch),
        }
        fae, plain = epochs(peers, 256)
        rows.append([f"{batch:,}", f"{fae:.3f}", f"{plain:.3f}", f"{plain / fae:.2f}"])
    yield "## Images in a minibatch"
    yield (
        "Larger minibatches cost less, as a step has a fixed cost. Where the ratio is below 1,\n"
        "the plain loop takes less time than fae."
    )
    yield shown(rows)


def by_runs() -> Iterator[str]:
    """Sweeps of more and more runs: settings of four seeds each."""
    rows = [["runs of a sweep (of 2 epochs on small images)", "s", "s a run beyond the first 4"]]
    first = 0.0
    for count in RUNS:
        rates = ",".join(f"{0.1 + number / 100:.2f}" for number in range(count // SEEDS))
        command = f"fae.train -m lr={rates} seed=range({SEEDS}) {SMOKE}"
        with tempfile.TemporaryDirectory() as scratch:
            taken = seconds(command, Path(scratch))
        first = first or taken
        beyond = f"{(taken - first) / (count - RUNS[0]):.3f}" if count > RUNS[0] else ""
        rows.append([str(count), f"{taken:.1f}", beyond])
    yield "## Runs of a sweep"
    yield ("In proportion to the runs, reports of up to 50 settings included.")
    yield shown(rows)


def by_store() -> Iterator[str]:
    """The same commands on a store that holds little, and much."""
    rows = [["s", "store of 4 runs", f"store of {STORED:,} runs"]]
    sweep = f"fae.train -m seed=range({SEEDS}) {SMOKE}"
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        folders = Path(few), Path(many)
        for folder in folders:
            seconds(sweep, folder)
        fill(folders[1] / "mlflow.db", STORED // SEEDS - 1)
        for name, command in (
            ("a run of 2 epochs on small images", f"fae.train {SMOKE}"),
            ("a sweep of 4 such runs, with its report", sweep),
            ("the report of the latest sweep", "fae.report local=none"),
            ("the report of all runs with seed 0", "fae.report local=none where=seed=0"),
        ):
            taken = [[seconds(command, folder) for folder in folders] for _ in range(ROUNDS)]
            medians = (statistics.median(column) for column in zip(*taken, strict=True))
            rows.append([name, *(f"{median:.2f}" for median in medians)])
    yield "## Runs in the store"
    yield ("Single runs and sweeps do not notice; a report over all runs has to list them all.")
    yield shown(rows)


def by_jobs() -> Iterator[str]:
    """The four networks one after the other on all cores, or as two processes with a core each."""
    one_by_one, side_by_side = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as scratch:
            seconds("fae.train -m hidden=8 epochs=1 local=none", Path(scratch))  # makes the store
            one_by_one.append(seconds(f"fae.train {PAPER.format('64,128,256,512')}", Path(scratch)))
            start = time.perf_counter()
            finish(
                *(
                    begun(f"fae.train {PAPER.format(sizes)}", Path(scratch), OMP_NUM_THREADS="1")
                    for sizes in ("64,128,256", "512")
                )
            )
            side_by_side.append(time.perf_counter() - start)
    one, two = statistics.median(one_by_one), statistics.median(side_by_side)
    yield "## Two jobs at a time"
    yield (
        "With a core each, no thread waits for another; but a sweep of one network would lose by\n"
        "it, and so does any whose networks do not share the time evenly."
    )
    yield shown(
        [
            ["the four networks, 10 epochs, whole commands", "s"],
            [f"one after the other, {torch.get_num_threads()} threads", f"{one:.1f}"],
            ["n = 512 beside the other three, 1 thread each", f"{two:.1f}"],
        ]
    )


def epochs(peers: dict[str, Peer], n: int) -> list[float]:
    """The median seconds of an epoch of each, round by round, each start's first left out."""
    taken: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, peer in peers.items():
            taken[name] += peer.run(n, EPOCHS).epoch_s[1:]
    return [statistics.median(found) for found in taken.values()]


def begun(command: str, folder: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """A command, ``fae.train ...``, that has begun in a folder with a store of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        env={**environment(folder), **variables},
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )


def seconds(command: str, folder: Path) -> float:
    """What a command takes, start and all."""
    start = time.perf_counter()
    finish(begun(command, folder))
    return time.perf_counter() - start


def finish(*processes: "subprocess.Popen[bytes]") -> None:
    """Wait until all have ended well."""
    for process in processes:
        if process.wait():
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


def fill(database: Path, count: int) -> None:
    """Copy the sweep that a store holds so many times, each an hour earlier, of 30 epochs."""
    with closing(sqlite3.connect(database)) as store, store:
        runs = [run for (run,) in store.execute("SELECT run_uuid FROM runs ORDER BY run_uuid")]
        for name in ("runs", "params", "tags", "latest_metrics", "metrics", "inputs"):
            columns = [column for _, column, *_ in store.execute(f"PRAGMA table_info({name})")]
            rows = [
                dict(zip(columns, row, strict=True))
                for row in store.execute(f"SELECT * FROM {name}")
            ]
            if name == "metrics":
                rows = [
                    {**row, "step": epoch}
                    for row in rows
                    if row["step"] == 1
                    for epoch in range(1, 31)
                ]
            marks = ", ".join("?" * len(columns))
            store.executemany(
                f"INSERT INTO {name} VALUES ({marks})",
                (
                    [copied(column, value, number, runs) for column, value in row.items()]
                    for number in range(count)
                    for row in rows
                ),
            )


def copied(column: str, value: object, number: int, runs: Sequence[str]) -> object:
    """A value as a copied sweep has it: ids of its own, and an hour earlier than the next."""
    if column == "input_uuid":
        return uuid4().hex
    if value in runs:
        return f"{number * len(runs) + runs.index(str(value)):032x}"
    if column in {"start_time", "end_time", "timestamp"} and isinstance(value, int):
        return value - (number + 1) * 3_600_000
    return value


def shown(rows: list[list[str]]) -> str:
    """A table in Markdown, printed too."""
    text = table(rows)
    print(text, flush=True)
    return text


if __name__ == "__main__":
    main()
