"""Who is alive: signs of life, locks, and what happens to a process that is taken for dead."""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dying import died
from mlflow import MlflowClient

from fae.config import Config
from fae.runs.begin import begin
from fae.runs.job import Job
from fae.runs.task import Known, State, Task, look_up
from fae.runtime.machine import Boot
from fae.tracking import delivery, liveness
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.journal import Journal
from fae.tracking.liveness import (
    BEAT,
    BOOT,
    Heartbeat,
    SupersededError,
    Watch,
    is_crashed,
    is_here,
)
from fae.tracking.lock import run_lock
from fae.tracking.recovery import close_crashed
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
HERE = str(Boot.current())
REBOOTED = f"{Boot.current().machine}/other"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(liveness, "boot_time", made)
    return made


@pytest.fixture
def tracking(tmp_path: Path, empty_store: bytes, tiny: Tiny) -> TrackingConfig:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return replace(tiny().tracking, uri=f"sqlite:///{tmp_path}/mlflow.db", silence_s=600)


def stored(run_id: str = "1", **tags: str) -> StoredRun:
    return StoredRun(run_id, "run", "RUNNING", 0, None, {}, {}, tags)


def test_a_sign_of_life_is_due_twenty_times_in_the_longest_silence(clock: Clock) -> None:
    beats: list[str] = []
    heartbeat = Heartbeat(beats.append, lambda: 1, own=1, silence_s=600)
    clock.now += 29.9
    assert not heartbeat.is_due
    clock.now += 0.1
    assert heartbeat.is_due
    heartbeat.beat()
    assert (len(beats), heartbeat.is_due) == (1, False)


def test_who_was_taken_over_gives_no_sign_of_life() -> None:
    beats: list[str] = []
    heartbeat = Heartbeat(beats.append, lambda: 2, own=1, silence_s=600)
    for act in (heartbeat.check, heartbeat.beat):
        with pytest.raises(SupersededError):
            act()
    assert beats == []


@pytest.mark.usefixtures("clock")
def test_a_sign_of_life_that_was_not_stored_stays_due() -> None:
    def away(_: str) -> None:
        raise ConnectionError

    heartbeat = Heartbeat(away, lambda: 1, own=1, silence_s=0)
    with pytest.raises(ConnectionError):
        heartbeat.beat()
    assert heartbeat.is_due


def look(watch: Watch, clock: Clock, run: StoredRun, seconds: int) -> bool:
    """Look every half minute for so long; whether the run is dead in the end."""
    for _ in range(seconds // 30):
        clock.now += 30
        silent = watch.look([run])
    return silent == [run]


def test_a_run_is_dead_after_ten_silent_minutes_of_the_one_who_looks(clock: Clock) -> None:
    watch, run = Watch(600), stored()
    assert watch.look([run]) == []
    assert not look(watch, clock, run, 570)
    assert look(watch, clock, run, 30)


@pytest.mark.parametrize(
    "alive", [replace(stored(), tags={"new": "1"}), replace(stored(), metrics={"new": 1.0})]
)
def test_any_sign_of_life_counts(clock: Clock, alive: StoredRun) -> None:
    """Of a run of an earlier version, its metrics."""
    watch, run = Watch(600), stored()
    assert not look(watch, clock, run, 570)
    assert not watch.has_moved(run)
    assert watch.has_moved(alive)
    assert not look(watch, clock, alive, 570)
    assert not look(watch, clock, alive, 30)
    assert look(watch, clock, alive, 30)


@pytest.mark.parametrize("pause", ["restart", "sleep"])
def test_time_in_which_nobody_looked_or_the_store_was_away_does_not_count(
    clock: Clock, pause: str
) -> None:
    watch, run = Watch(600), stored()
    assert not look(watch, clock, run, 570)
    if pause == "restart":
        watch.restart()
    else:
        clock.now += 10_000
    assert not look(watch, clock, run, 600)
    assert look(watch, clock, run, 30)


@pytest.fixture
def dead(tmp_path: Path, tracking: TrackingConfig) -> StoredRun:
    """A run whose process was killed."""
    run_id = died(tmp_path / "dies", tracking)
    return Archive(tracking).run(run_id)


def with_tags(run: StoredRun, **tags: str | None) -> StoredRun:
    changed = {f"fae.{key}": value for key, value in tags.items()}
    kept = {key: value for key, value in {**run.tags, **changed}.items() if value is not None}
    return replace(run, tags=kept)


def test_within_a_boot_the_lock_of_a_folder_that_is_seen_decides(dead: StoredRun) -> None:
    folder, uri = Path(dead.tags["fae.folder"]), "http://server"
    assert dead.tags[BOOT] == HERE
    assert (is_crashed(dead, uri), is_here(dead)) == (True, False)
    with run_lock(folder):
        assert (is_crashed(dead, uri), is_here(dead)) == (False, True)
    folder.rename(folder.with_name("away"))
    assert (is_crashed(dead, uri), is_here(dead)) == (False, False)


@pytest.mark.parametrize("boot", ["another/boot", REBOOTED])
def test_elsewhere_neither_a_free_lock_nor_the_host_s_name_proves_anything(
    dead: StoredRun, boot: str
) -> None:
    run = with_tags(dead, boot=boot, host=platform.node())
    assert not is_crashed(run, "http://server")
    with run_lock(Path(dead.tags["fae.folder"])):
        assert not is_here(run)


def test_a_database_file_s_machine_that_was_rebooted_runs_nothing_of_before(
    dead: StoredRun,
) -> None:
    """A server's may be another machine that was copied from the same image."""
    assert is_crashed(with_tags(dead, boot=REBOOTED), "sqlite:///mlflow.db")
    assert not is_crashed(with_tags(dead, boot="another/boot"), "sqlite:///mlflow.db")


@pytest.mark.parametrize(("host", "crashed"), [(platform.node(), True), ("elsewhere", False)])
def test_of_a_run_of_an_earlier_version_the_host_s_name_counts(
    dead: StoredRun, host: str, crashed: bool
) -> None:
    assert is_crashed(with_tags(dead, boot=None, host=host), "http://server") == crashed


def test_a_live_run_gives_signs_of_life(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FLUSH_INTERVAL_S", 0.01)
    monkeypatch.setattr(liveness, "BEATS", 1e5)
    store, client = Store(tracking), MlflowClient(tracking.uri)
    seen: set[str] = set()
    with store.run("run", kind="run", folder=tmp_path, command="") as run:
        while len(seen) < 3:
            seen.add(client.get_run(run.id).data.tags.get(BEAT, ""))
    assert client.get_run(run.id).info.status == "FINISHED"


def test_a_process_that_was_taken_for_dead_stops_and_keeps_its_journal(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FLUSH_INTERVAL_S", 0.01)
    monkeypatch.setattr(liveness, "BEATS", 1e5)
    store, archive = Store(tracking), Archive(tracking)
    runs: list[Run] = []

    def train() -> None:
        with store.run("run", kind="run", folder=tmp_path, command="") as run:
            runs.append(run)
            assert archive.take_over(archive.run(run.id))
            for step in range(1_000_000):
                run.log_metrics({"a": float(step)}, step)

    with pytest.raises(SupersededError, match=r"^run: another process has taken it over"):
        train()
    (run,) = runs
    assert run.lacking == f"run: what this process computed is kept in {tmp_path}"
    assert Journal(tmp_path).entries[-1]["end"] == "KILLED"
    found = archive.run(run.id)
    assert (found.status, found.was_silent) == ("KILLED", True)


def test_a_silent_run_is_taken_over_by_one_process_only(
    tracking: TrackingConfig, dead: StoredRun
) -> None:
    archive = Archive(tracking)
    assert archive.take_over(dead)
    assert not archive.take_over(dead)


def test_a_silent_run_is_resumed_in_a_copy_of_its_folder(
    tracking: TrackingConfig, tmp_path: Path, tiny: Tiny
) -> None:
    """To the folder itself its process may still write."""
    config = replace(tiny(), tracking=tracking)
    task, store, archive = Task(config, []), Store(tracking), Archive(tracking)
    old, new = tmp_path / "old", tmp_path / "new"
    tags = {"fae.fingerprint": task.fingerprint}
    with begin(store, Job("job", old, ""), Known, kind="run", subject="", tags=tags) as (
        run,
        _,
    ):
        assert run
        run.log_metrics({"a": 1.0}, step=1)
        (old / "checkpoints").mkdir()
        (old / "checkpoints" / "epoch=1.safetensors").write_text("weights")
        assert archive.take_over(archive.run(run.id))
        (known,) = look_up([task], archive, config.sweep)
        assert (known.state, known.folder, known.is_held) == (State.RESUMABLE, old, True)
        with begin(
            store, Job("job", new, ""), lambda: known, kind="run", subject="", tags=tags
        ) as (again, _):
            assert again
            assert (again.id, again.folder) == (run.id, new)
            again.log_metrics({"a": 1.0}, step=1)
    assert (new / "checkpoints" / "epoch=1.safetensors").read_text() == "weights"
    points = MlflowClient(tracking.uri).get_metric_history(run.id, "a")
    assert [point.value for point in points] == [1.0]
    assert archive.run(run.id).tags["fae.folder"] == str(new)


def test_a_run_whose_folder_is_not_seen_is_not_closed(
    tracking: TrackingConfig, dead: StoredRun
) -> None:
    folder = Path(dead.tags["fae.folder"])
    folder.rename(folder.with_name("away"))
    assert close_crashed(Archive(tracking)) == []
    assert Archive(tracking).run(dead.id).status == "RUNNING"
