"""SIGINT and SIGTERM at any moment of the real command."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from conftest import NO_LOCAL, environment

from fae.checkpoint import checkpoint_path, read, saved_epochs
from fae.tracking.journal import Journal
from soak.conftest import Soak

EPOCHS = 12
WORKERS = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
KINDS = {
    "run": ["hidden=4"],
    "sweep": ["-m", "hidden=4,8"],
    "workers": ["-m", "hidden=4,8", *WORKERS],
}
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
LIMIT_S = 5.0
AT_ONCE_S = 2.0
"""With room for a busy machine."""
LAST_EPOCH = f"epoch {EPOCHS}/{EPOCHS}"
LAST_LINE = {"run": "test 0.", "sweep": "report   ", "workers": "report   "}


@dataclass(frozen=True)
class Moment:
    """When which signal is sent to which command.

    Attributes:
        seen: what the command has printed by then.
        after_s: so much later.
    """

    kind: str
    signum: signal.Signals
    seen: str
    after_s: float


SEEN = [
    Moment("run", signal.SIGTERM, "", 0),
    Moment("sweep", signal.SIGINT, "", 0),
    Moment("sweep", signal.SIGINT, "epoch 2/", 0.05),
    Moment("run", signal.SIGTERM, LAST_EPOCH, 0.5),
    Moment("workers", signal.SIGTERM, "epoch 2/", 0.05),
    Moment("workers", signal.SIGINT, "epoch 2/", 0.05),
    Moment("run", signal.SIGTERM, "test 0.", 0),
    Moment("run", signal.SIGINT, "test 0.", 0.1),
    Moment("sweep", signal.SIGINT, "test 0.", 0),
    Moment("sweep", signal.SIGTERM, "report   ", 0),
]
FOUND: list[int] = []
"""Seeds of moments at which something was wrong once."""


def moment(seed: int, durations: dict[str, float]) -> Moment:
    """One of many that are spread evenly over a command, and every third over its training."""
    kind = list(KINDS)[seed // 4 % 3]
    signum = list(CODES)[seed // 2 % 2]
    share = seed * 0.618034 % 1
    if seed % 3 == 0:
        after_s = random.Random(seed).uniform(0, 0.1)
        return Moment(kind, signum, f"epoch {1 + int(share * EPOCHS)}/", after_s)
    return Moment(kind, signum, "", 1.05 * share * durations[kind])


def begin(folder: Path, kind: str, *more: str) -> "subprocess.Popen[bytes]":
    """A command whose output goes to files of its folder, and so does its store."""
    folder.mkdir(exist_ok=True)
    overrides = [*KINDS[kind], "experiment=smoke", f"epochs={EPOCHS}", NO_LOCAL, *more]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "fae.train", *overrides],
            cwd=folder,
            env=environment(f"sqlite:///{folder}/mlflow.db"),
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )


def send(process: "subprocess.Popen[bytes]", signum: signal.Signals) -> None:
    """As a terminal sends SIGINT, to all processes of the command, and others theirs to one."""
    if signum == signal.SIGINT and process.poll() is None:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)


def wait_until_seen(process: "subprocess.Popen[bytes]", folder: Path, text: str) -> None:
    while process.poll() is None and text not in (folder / "out").read_text():
        time.sleep(0.01)


def wait_until_handled(process: "subprocess.Popen[bytes]") -> None:
    """Until a command has come to its own first line; before, Python prints a traceback."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = re.search(r"^SigCgt:\s*(\w+)", status.read_text(), re.MULTILINE)
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)


def exit_code(process: "subprocess.Popen[bytes]") -> int:
    """As a shell shows it."""
    code = process.wait(60)
    return code if code >= 0 else 128 - code


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """What the store of a command answers, if it has made one."""
    if not (folder / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query).fetchall()


def statuses(folder: Path) -> set[object]:
    return {status for (status,) in rows(folder, "SELECT status FROM runs")}


def disturb(moment: Moment, folder: Path) -> tuple[list[str], float, str]:
    """What was wrong, how long the end took, and in which phase the signal came."""
    process = begin(folder, moment.kind, "sweep.rerun=true")
    if moment.signum == signal.SIGINT:
        wait_until_handled(process)
    wait_until_seen(process, folder, moment.seen)
    time.sleep(moment.after_s)
    printed = (folder / "out").read_text()
    phases = {"epoch 1/": "before training", LAST_EPOCH: "in training"}
    phases[LAST_LINE[moment.kind]] = "closing"
    phase = next((name for text, name in phases.items() if text not in printed), "after the work")
    send(process, moment.signum)
    start = time.monotonic()
    code = exit_code(process)
    took = time.monotonic() - start
    errors = (folder / "err").read_text()
    told = f"fae: interrupted by {moment.signum.name}"  # by each process that it came to
    too_late = phase == "after the work" and statuses(folder) == {"FINISHED"}
    problems = {
        f"exit code {code}": code != CODES[moment.signum] and not (code == 0 and too_late),
        f"ended after {took:.1f} s": took > LIMIT_S,
        f"left {statuses(folder)}": "RUNNING" in statuses(folder),
        f"said {errors}": not set(errors.splitlines()) <= {told},
        f"printed {printed}": "Traceback" in printed or "ignored" in printed,
    }
    return [problem for problem, is_so in problems.items() if is_so], took, phase


def undisturbed(folder: Path, kind: str) -> float:
    """How long a command takes."""
    start = time.monotonic()
    assert begin(folder, kind).wait(120) == 0, (folder / "err").read_text()
    return time.monotonic() - start


def moments(whole: bool, tmp_path: Path) -> Iterator[tuple[object, Moment]]:
    """Each with its name."""
    if not whole:
        yield from enumerate(SEEN[1:5])
        return
    durations = {kind: undisturbed(tmp_path / kind, kind) for kind in KINDS}
    yield from ((f"seen-{number}", one) for number, one in enumerate(SEEN))
    yield from ((seed, moment(seed, durations)) for seed in [*range(60 - len(SEEN)), *FOUND])


def test_a_signal_at_any_moment_ends_a_command_truthfully(soak: Soak, tmp_path: Path) -> None:
    """SIGINT or SIGTERM at any moment from start to end: exit code, status, 5 s, no traceback."""
    tried = list(moments(soak.whole, tmp_path))
    with ThreadPoolExecutor(2) as side_by_side:
        ended = list(side_by_side.map(lambda one: disturb(one[1], tmp_path / f"{one[0]}"), tried))
    wrong = {name: (one, end[0]) for (name, one), end in zip(tried, ended, strict=True) if end[0]}
    assert wrong == {}
    phases = ", ".join(f"{count} {phase}" for phase, count in Counter(p for *_, p in ended).items())
    slowest = max(took for _, took, _ in ended)
    soak.tell(f"{len(tried)} signals ({phases}): all ended as told, the slowest in {slowest:.1f} s")


def check_files(folder: Path) -> None:
    """Make sure that a run's files are whole."""
    assert json.loads((folder / "run.json").read_text())["run_id"]
    journal = (folder / "journal.jsonl").read_text()
    assert journal.endswith("\n")
    assert Journal(folder).entries == [json.loads(line) for line in journal.splitlines()]
    for epoch in saved_epochs(folder):
        path = checkpoint_path(folder, epoch)
        read(path, json.loads(path.with_suffix(".json").read_text())["fingerprint"])


def test_a_second_signal_ends_a_command_at_once(soak: Soak, tmp_path: Path) -> None:
    """A second signal right after the first: dead at once, files whole, the run goes on later."""
    total = soak.times(short=1, whole=10)

    def disturb_twice(seed: int) -> float:
        chance = random.Random(seed)
        folder = tmp_path / f"{seed}"
        process = begin(folder, "run")
        wait_until_seen(process, folder, f"epoch {chance.randint(1, EPOCHS)}/")
        process.send_signal(chance.choice(list(CODES)))
        time.sleep(chance.uniform(0, 0.1))
        start = time.monotonic()
        process.send_signal(chance.choice(list(CODES)))
        assert exit_code(process) in CODES.values()
        took = time.monotonic() - start
        (made,) = folder.glob("outputs/*/*/run.json")
        check_files(made.parent)
        assert begin(folder, "run").wait(120) == 0, (folder / "err").read_text()
        assert rows(folder, "SELECT status FROM runs") == [("FINISHED",)]
        points = rows(folder, "SELECT step, count(*) FROM metrics WHERE key='val/mse' GROUP BY 1")
        assert points == [(epoch, 1) for epoch in range(1, EPOCHS + 1)]
        return took

    with ThreadPoolExecutor(2) as side_by_side:
        slowest = max(side_by_side.map(disturb_twice, range(total)))
    assert slowest < AT_ONCE_S
    soak.tell(f"{total} commands, the slowest dead in {slowest:.2f} s; all carried on to the end")
