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

from fae.runs.checkpoint import read
from fae.tracking.checkpoints import checkpoint_path, saved_epochs
from fae.tracking.folder import Link
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
"""Where a process has a core; see ``with_load``."""
IS_LEFT = " uploads it"
"""Said where the store had no time to take all."""
NEVER = "never, as the command had ended"
LAST_EPOCH = f"epoch {EPOCHS}/{EPOCHS}"
LAST_LINE = {"run": "test 0.", "sweep": "report   ", "workers": "report   "}


@dataclass(frozen=True)
class Moment:
    """When which signal is sent to which command.

    Attributes:
        seen: what the command has printed by then.
        after_s: so much later.
        again: whether the command resumes what a signal interrupted before.
    """

    kind: str
    signum: signal.Signals
    seen: str
    after_s: float
    again: bool = False


SEEN = [
    Moment("run", signal.SIGTERM, "", 0),
    Moment("sweep", signal.SIGINT, "", 0),
    Moment("sweep", signal.SIGINT, "epoch 2/", 0.05),
    Moment("run", signal.SIGTERM, LAST_EPOCH, 0.5),
    Moment("run", signal.SIGINT, "epoch 8/", 0.05, again=True),
    Moment("workers", signal.SIGTERM, "epoch 2/", 0.05),
    Moment("workers", signal.SIGINT, "epoch 2/", 0.05),
    Moment("sweep", signal.SIGTERM, "epoch 8/", 0.05, again=True),
    Moment("run", signal.SIGTERM, "test 0.", 0),
    Moment("run", signal.SIGINT, "test 0.", 0.1),
    Moment("sweep", signal.SIGINT, "test 0.", 0),
    Moment("sweep", signal.SIGTERM, "report   ", 0),
]
FOUND: list[int] = []
"""Seeds of moments at which something was wrong once."""


def moment(seed: int, durations: dict[str, float]) -> Moment:
    """One of many that are spread evenly over a command, and every third over its training.

    Another third comes while the command resumes.
    """
    kind = list(KINDS)[seed // 4 % 3]
    signum = list(CODES)[seed // 2 % 2]
    share = seed * 0.618034 % 1
    if seed % 3 == 0:
        after_s = random.Random(seed).uniform(0, 0.1)
        return Moment(kind, signum, f"epoch {1 + int(share * EPOCHS)}/", after_s)
    return Moment(kind, signum, "", 1.05 * share * durations[kind], again=seed % 3 == 1)


def with_load(limit_s: float) -> float:
    """A limit where processes share cores: so many times as long as there are of them for each."""
    return limit_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def begin(folder: Path, kind: str) -> "subprocess.Popen[bytes]":
    """A command whose output goes to files of its folder, and so does its store."""
    folder.mkdir(exist_ok=True)
    overrides = [*KINDS[kind], "experiment=smoke", f"epochs={EPOCHS}", NO_LOCAL]
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


def handles(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a command has come to its own first line; before, Python prints a traceback."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def wait_until_handled(process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None and not handles(process):
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


def interrupt(folder: Path, kind: str) -> None:
    """Leave a command's work half done."""
    process = begin(folder, kind)
    wait_until_seen(process, folder, "epoch 2/")
    process.send_signal(signal.SIGTERM)
    assert exit_code(process) == CODES[signal.SIGTERM]
    assert "KILLED" in statuses(folder)


def disturb(moment: Moment, folder: Path) -> tuple[list[str], float, str]:
    """What was wrong, how long the end took, and in which phase the signal came."""
    if moment.again:
        interrupt(folder, moment.kind)
    process = begin(folder, moment.kind)
    if moment.signum == signal.SIGINT:
        wait_until_handled(process)
    wait_until_seen(process, folder, moment.seen)
    time.sleep(moment.after_s)
    printed = (folder / "out").read_text()
    is_over = process.poll() is not None
    is_handled = not is_over and handles(process)
    send(process, moment.signum)
    start = time.monotonic()
    code = exit_code(process)
    took = time.monotonic() - start
    errors = (folder / "err").read_text()
    printed_at_end = (folder / "out").read_text()
    phases = {r"epoch \d+/": "before training", LAST_EPOCH: "in training"}
    phases[LAST_LINE[moment.kind]] = "closing"
    to_come = [name for seen, name in phases.items() if not re.search(seen, printed)]
    phase = NEVER if is_over else [*to_come, "after the work"][0]
    is_too_late = not to_come and statuses(folder) == {"FINISHED"}
    is_too_early = process.returncode == -moment.signum and not is_handled
    told = f"fae: interrupted by {moment.signum.name}"  # by each process that it came to
    lines = set(errors.splitlines())
    is_told = lines == {told} or (code == 0 and lines <= {told}) or (is_too_early and not lines)
    problems = {
        f"exit code {process.returncode}": not (
            process.returncode == CODES[moment.signum]
            or is_too_early
            or (code == 0 and is_too_late)
        ),
        f"ended after {took:.1f} s": took > with_load(LIMIT_S),
        f"left {statuses(folder)}": "RUNNING" in statuses(folder) and IS_LEFT not in printed_at_end,
        f"said {errors}": not is_told,
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
    sent = [(one, *end) for (_, one), end in zip(tried, ended, strict=True) if end[2] != NEVER]
    phases = Counter(phase for *_, phase in sent)
    again = sum(one.again for one, *_ in sent)
    soak.tell(
        f"{len(sent)} signals ({', '.join(f'{n} {phase}' for phase, n in phases.items())}; {again} "
        "of them to a command that resumes): all ended as they should, the slowest in "
        f"{max(took for _, _, took, _ in sent):.1f} s"
    )


def check_files(folder: Path) -> None:
    """Make sure that a run's files are whole."""
    assert Link.read(folder)
    assert (folder / "journal.jsonl").read_text().endswith("\n")
    assert all(Journal(folder).entries)
    for epoch in saved_epochs(folder):
        path = checkpoint_path(folder, epoch)
        read(path, json.loads(path.with_suffix(".json").read_text())["fingerprint"])


def test_a_second_signal_ends_a_command_at_once(soak: Soak, tmp_path: Path) -> None:
    """A second signal right after the first: dead at once, files whole, the run resumes later."""
    total = soak.times(short=1, whole=10)

    def disturb_twice(seed: int) -> tuple[float, bool]:
        """Seconds from the second signal to the end, and whether the first left time for it."""
        chance = random.Random(seed)
        folder = tmp_path / f"{seed}"
        process = begin(folder, "run")
        wait_until_seen(process, folder, f"epoch {chance.randint(1, EPOCHS)}/")
        process.send_signal(chance.choice(list(CODES)))
        time.sleep(chance.uniform(0, 0.1))
        is_alive = process.poll() is None
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
        return took, is_alive

    with ThreadPoolExecutor(2) as side_by_side:
        ended = list(side_by_side.map(disturb_twice, range(total)))
    taken = [took for took, is_alive in ended if is_alive]
    assert max(taken) < with_load(AT_ONCE_S)
    soak.tell(
        f"{total} commands, {len(taken)} of them not yet dead by the first: the slowest dead in "
        f"{max(taken):.2f} s; all {total} resumed to the end"
    )
