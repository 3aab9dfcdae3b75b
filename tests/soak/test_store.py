"""A store that many use at once, and one that goes away and comes back."""

import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NO_LOCAL
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.errors import StoreError
from fae.runs.build import build
from fae.runs.checkpoint import Checkpoints, DurableCheckpointIO
from fae.runs.history import History
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.journal import Journal
from fae.tracking.recovery import close_crashed, count_unsent, deliver
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.uploader import Uploader
from fae.training.trainer import build_trainer
from soak.conftest import Soak

forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(
    ["fae.runs.run", "fae.sweeps.plan", "mlflow.pytorch", "mlflow.store.tracking.sqlalchemy_store"]
)


def tracking(uri: str) -> TrackingConfig:
    return compose(NO_LOCAL, f"tracking.uri='{uri}'").tracking


def rows(database: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return connection.execute(query, values).fetchall()


def stored_steps(database: Path, run_id: str, key: str) -> list[int]:
    """The steps of a metric, as they came in."""
    query = "SELECT step FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY rowid"
    return [step for (step,) in rows(database, query, run_id, key)]


def make_store(config: TrackingConfig, together: Barrier) -> None:
    together.wait()
    Store(config)


def part(database: Path) -> Path:
    """Where a database is made that is then put in its place whole."""
    return database.with_name(f".{database.name}.part")


def making(database: Path) -> ForkServerProcess:
    """A process that makes a store, once it is at it."""
    process = forkserver.Process(target=Store, args=(tracking(f"sqlite:///{database}"),))
    process.start()
    while process.is_alive() and not (part(database).exists() or database.exists()):
        time.sleep(0.001)
    return process


def making_s(database: Path) -> float:
    """Seconds from the first byte of a store until it is in its place."""
    process = making(database)
    start = time.monotonic()
    while process.is_alive() and not database.exists():
        time.sleep(0.001)
    took = time.monotonic() - start
    process.join()
    return took


def dies_making(database: Path, after_s: float) -> bool:
    """Kill a process while it makes a store; whether it was not done by then."""
    process = making(database)
    process.join(after_s)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL and not database.exists()


def test_processes_that_first_start_at_once_make_one_store(soak: Soak, tmp_path: Path) -> None:
    """Many processes that start at once where one was killed as it made the store: all get it."""
    rounds, processes = soak.times(short=2, whole=50), soak.times(short=4, whole=8)
    chance = random.Random(0)
    duration = making_s(tmp_path / "undisturbed.db")
    databases = (tmp_path / f"{number}.db" for number in count())
    for number in range(rounds):
        database = next(one for one in databases if dies_making(one, chance.uniform(0, duration)))
        assert part(database).exists()
        config = tracking(f"sqlite:///{database}")
        together = forkserver.Barrier(processes)
        started = [
            forkserver.Process(target=make_store, args=(config, together)) for _ in range(processes)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        assert [process.exitcode for process in started] == [0] * processes, f"round {number}"
        made = rows(database, "SELECT name FROM experiments ORDER BY experiment_id")
        assert made == [("Default",), ("fae",)]
        assert len(rows(database, "SELECT * FROM alembic_version")) == 1
    soak.tell(
        f"{rounds} times one process killed as it made the store, then {processes} at once: all "
        "started, on one store"
    )


WRITER = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 2")
database.execute("BEGIN IMMEDIATE")
for number in range(5000):
    database.execute("INSERT INTO tags VALUES (?, ?, ?)", (f"{number}", "x" * 500, "nobody"))
os.kill(os.getpid(), 9)
"""


def test_a_store_whose_writer_was_killed_can_be_read(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    config = tracking(f"sqlite:///{database}")
    Store(config)
    subprocess.run([sys.executable, "-c", WRITER, str(database)], timeout=60)
    assert database.with_name("mlflow.db-journal").stat().st_size > 0
    assert Archive(config).runs("run") == []
    assert rows(database, "SELECT count(*) FROM tags") == [(0,)]


ENDLESS = 10**9
"""Points of a process that is going to be killed."""


def log_points(config: TrackingConfig, folder: Path, points: int) -> None:
    """Log metrics, and note in a file which of them are acknowledged."""
    with (
        Store(config).run(folder.name, kind="run", folder=folder, command="") as run,
        (folder / "acknowledged").open("w", buffering=1) as acknowledged,
    ):
        for step in range(points):
            run.log_metrics({"value": float(step)}, step=step)
            print(step, file=acknowledged)


def acknowledged(folder: Path) -> int:
    file = folder / "acknowledged"
    return file.read_text().count("\n") if file.exists() else 0


def share_a_store(folder: Path, processes: int, points: int, chance: random.Random) -> int:
    """Let processes log to a new store, kill two, and check it; how many points it has."""
    database = folder / "mlflow.db"
    config = tracking(f"sqlite:///{database}")
    folders = [folder / f"run-{number}" for number in range(processes)]
    started = []
    for number, own in enumerate(folders):
        own.mkdir(parents=True)
        count = points if number > 1 else ENDLESS
        started.append(forkserver.Process(target=log_points, args=(config, own, count)))
        started[-1].start()
    for victim in (0, 1):
        enough = chance.uniform(0, 0.9) * points
        while acknowledged(folders[victim]) < enough:
            time.sleep(0.001)
        started[victim].kill()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [-9, -9] + [0] * (processes - 2)
    close_crashed(Archive(config))
    assert [count_unsent(own) for own in folders] == [0] * processes
    runs = dict(rows(database, "SELECT name, run_uuid FROM runs"))
    steps = [Counter(stored_steps(database, runs[own.name], "value")) for own in folders]
    for own, found in zip(folders, steps, strict=True):
        assert set(range(acknowledged(own))) <= set(found)
        assert set(found.values()) == {1}
    ends = Counter(status for (status,) in rows(database, "SELECT status FROM runs"))
    assert ends == {"KILLED": 2, "FINISHED": processes - 2}
    return sum(map(len, steps))


def test_many_processes_share_a_store(soak: Soak, tmp_path: Path) -> None:
    """Processes that log to one SQLite file, two of them killed: each point is there, and once."""
    processes, points = soak.times(short=4, whole=8), soak.times(short=200, whole=2000)
    stored = [
        share_a_store(tmp_path / f"{seed}", processes, points, random.Random(seed))
        for seed in range(soak.times(short=1, whole=5))
    ]
    soak.tell(f"{len(stored)} times {processes} processes, {sum(stored)} points: 0 lost, 0 twice")


class Server:
    """A real ``mlflow server`` with a database, which is killed and started again.

    Args:
        folder: of its database and artifacts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "mlflow.db"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it, without waiting until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}", "--port", f"{self.port}"]
        command += ["--artifacts-destination", f"{self.folder}/artifacts"]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **quiet},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
        except OSError:
            return False
        return True

    def start(self) -> None:
        if not self._process:
            self.launch()
        while not self.answers():
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def gone(self) -> Iterator[None]:
        """It is killed, and not there in the block."""
        self.kill()
        yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It takes connections and does not answer until the end of the block."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            assert not self.answers()
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Launched before the first test, as it takes seconds until it answers."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.launch()
    yield server
    server.kill()


class Speaker:
    """Says what a training says, an epoch every few hundredths of a second."""

    def __init__(self, *runs: Run) -> None:
        self.runs = runs
        self.epochs = 0
        self.pictured: list[int] = []

    def speak_until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self.epochs += 1
            for run in self.runs:
                run.log_metrics({"train/mse": 0.1, "val/mse": 0.1}, step=self.epochs)
                if self.epochs % 7 == 1:
                    run.log_image(np.zeros((28, 280), np.uint8), "pictures", step=self.epochs)
                    run.log_text(f"{self.epochs}", f"notes/{self.epochs}.txt")
            time.sleep(0.03)

    def speak(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.speak_until(lambda: time.monotonic() > end)


def check_stored(server: Server, run: Run, epochs: int) -> int:
    """Make sure that the store has all of a run once and in order; how many things that are."""
    said = list(range(1, epochs + 1))
    for key in ("train/mse", "val/mse"):
        assert stored_steps(server.database, run.id, key) == said
    pictured = said[::7]
    (artifacts,) = server.folder.glob(f"artifacts/*/{run.id}/artifacts")
    shown = "[!.]*"  # a killed server leaves hidden files of uploads that were under way
    notes = {f"{epoch}.txt": f"{epoch}" for epoch in pictured}
    assert {note.name: note.read_text() for note in (artifacts / "notes").glob(shown)} == notes
    pictures = [file.name.split("+")[:3] for file in (artifacts / "images").glob("*.png")]
    assert sorted(pictures) == sorted(["pictures", "step", f"{epoch}"] for epoch in pictured)
    assert len(list((artifacts / "images").glob(shown))) == 2 * len(pictured)
    return 2 * len(said) + 2 * len(pictured)


def test_a_server_that_goes_and_comes_gets_all_once_and_in_order(
    soak: Soak, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that is killed and started again: nothing is lost, nothing twice, the order kept.

    Beside a run that continues all the time, one ends in each outage, for which the store is
    away for good: ``deliver`` brings what it said when the store is back.
    """
    outages = soak.times(short=1, whole=10)
    chance = random.Random(0)
    server.start()
    store = Store(tracking(server.uri))
    slowest_end = 0.0
    things = 0
    capsys.readouterr()
    with store.run("lasting", kind="run", folder=tmp_path, command="") as lasting:
        always = Speaker(lasting)
        for number in range(outages):
            always.speak_until(lambda: count_unsent(tmp_path) < 10)
            folder = tmp_path / f"run-{number}"
            folder.mkdir()
            with store.run(folder.name, kind="run", folder=folder, command="") as run:
                both = Speaker(run)
                both.speak(chance.uniform(0.5, 2))
                server.kill()
                both.speak(chance.uniform(0.0, 1))
                end = time.monotonic()
            slowest_end = max(slowest_end, time.monotonic() - end)
            assert count_unsent(folder) > 0
            assert run.lacking.startswith(f"{folder.name}: not completely in the store")
            (*_, last) = Journal(folder).entries
            assert last["end"] == "FINISHED"
            server.launch()
            always.speak_until(server.answers)
            delivered = deliver(folder, Archive(tracking(server.uri)))
            assert delivered > 0
            info = MlflowClient(server.uri).get_run(run.id).info
            assert (info.status, info.end_time) == ("FINISHED", last["time"])
            things += check_stored(server, run, both.epochs)
    things += check_stored(server, lasting, always.epochs)
    assert slowest_end < 15
    printed = capsys.readouterr().out
    assert printed.count("warning: the store is not reachable") == 2 * outages
    assert printed.count("the store is back") == outages
    soak.tell(f"{outages} outages, {things} points and files: 0 lost, 0 twice, in order")
    soak.tell(
        f"{outages} runs ended in an outage: the slowest in {slowest_end:.1f} s; all delivered"
    )


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_store_that_is_away_is_found_out_at_the_start(soak: Soak) -> None:
    """A store that does not answer is found out within 4 s at the start."""
    with silent_server() as uri:
        start = time.monotonic()
        with pytest.raises(StoreError, match="no MLflow server answers there"):
            Store(tracking(uri))
        took = time.monotonic() - start
    assert took < 4
    soak.tell(f"found out in {took:.1f} s")


def fit_s(
    config: Config, folder: Path, store: Store, meanwhile: AbstractContextManager[None]
) -> float:
    """Seconds of a training, with all that it does between its epochs.

    Args:
        meanwhile: what becomes of the store once the run has begun.
    """
    folder.mkdir()
    data, learner = build(config, config.data.build())
    with store.run(folder.name, kind="run", folder=folder, command="") as run:
        trainer = build_trainer(
            config.trainer,
            epochs=config.epochs,
            folder=folder,
            callbacks=[History(run, data, time.perf_counter()), Checkpoints(folder)],
            checkpoint_io=DurableCheckpointIO("fingerprint"),
        )
        with meanwhile:
            start = time.perf_counter()
            trainer.fit(learner, data)
            return time.perf_counter() - start


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Leaves the other core to the server; threads that wait for each other would share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_training_does_not_wait_for_a_store_that_is_away(
    soak: Soak, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training is at most 5 % slower where the store is away than where storing costs nothing.

    Away is a server that is killed, and one that takes connections and never answers.
    """
    if not soak.whole:
        pytest.skip("times are compared in the whole soak only")
    config = compose(NO_LOCAL, "experiment=smoke", "epochs=200")
    ways = {"free": server.silent, "killed": server.gone, "silent": server.silent}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    rounds = 9
    for name, way in [("warm", "free"), *((f"{n}", way) for n in range(rounds) for way in ways)]:
        server.start()
        with monkeypatch.context() as patch:
            if way == "free":
                patch.setattr(Uploader, "deliver", lambda _, entries: len(entries))
            store = Store(tracking(server.uri))
            took = fit_s(config, tmp_path / f"{name}-{way}", store, ways[way]())
        if name != "warm":
            taken[way].append(took)
    free, killed, silent = (statistics.median(taken[way]) for way in ways)
    assert killed <= 1.05 * free, taken
    assert silent <= 1.05 * free, taken
    soak.tell(
        f"{killed / free:.2f} times as long where it is killed, {silent / free:.2f} times where it "
        f"is silent, by the medians of {rounds} trainings each"
    )
