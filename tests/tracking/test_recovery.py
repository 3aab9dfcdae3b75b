"""Crashed runs: found, uploaded, closed truthfully."""

import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from dying import begun, died
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.errors import StoreError
from fae.runs.task import Task, look_up
from fae.tracking import liveness
from fae.tracking.archive import Archive, Outcome
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import Link, LinkError, home
from fae.tracking.journal import Journal
from fae.tracking.lock import is_alive, run_lock
from fae.tracking.recovery import close_crashed, count_unsent, crashed_runs, deliver
from fae.tracking.store import Store

TAGS = {"fae.kind": "run", "fae.host": platform.node(), "fae.command": ""}


@pytest.fixture
def tracking(tmp_path: Path, empty_store: bytes) -> TrackingConfig:
    """A store of this test's own: what is dead there is this test's doing."""
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'").tracking


@pytest.fixture
def dead(tmp_path: Path, tracking: TrackingConfig) -> tuple[str, Path]:
    """The id and the folder of a run whose process was killed."""
    return died(tmp_path / "dies", tracking), tmp_path / "dies"


def test_a_dead_run_is_closed_as_killed_with_all_it_said(
    tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, folder = dead
    client = MlflowClient(tracking.uri)
    before = client.get_run(run_id)
    assert (before.info.status, before.data.metrics) == ("RUNNING", {})
    assert count_unsent(folder) == 1
    assert [run.id for run in close_crashed(Archive(tracking))] == [run_id]
    after = client.get_run(run_id)
    assert (after.info.status, after.data.metrics) == ("KILLED", {"val/mse": 0.5})
    (entry,) = Journal(folder).entries
    assert after.info.end_time == entry["time"]
    assert close_crashed(Archive(tracking)) == []


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path, tracking: TrackingConfig) -> None:
    Store(tracking)
    process = begun(tmp_path / "stays", tracking)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    archive = Archive(tracking)
    assert close_crashed(archive) == []
    assert archive.run(run_id).status == "RUNNING"
    process.communicate(input="", timeout=60)
    assert archive.run(run_id).status == "FINISHED"


def test_a_run_of_another_machine_is_left_alone(
    tmp_path: Path, tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, folder = dead
    MlflowClient(tracking.uri).set_tag(run_id, "fae.host", "another")
    folder.rename(tmp_path / "elsewhere")
    assert close_crashed(Archive(tracking)) == []
    folder.mkdir()  # one of the same name, but of this machine
    assert close_crashed(Archive(tracking)) == []
    folder.rmdir()
    (tmp_path / "elsewhere").rename(folder)
    assert [run.id for run in close_crashed(Archive(tracking))] == [run_id]


def test_a_run_that_ended_while_the_store_was_away_ends_as_it_did(
    tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, folder = dead
    Journal(folder).append({"end": "FINISHED", "time": 1234567890123})
    close_crashed(Archive(tracking))
    info = MlflowClient(tracking.uri).get_run(run_id).info
    assert (info.status, info.end_time) == ("FINISHED", 1234567890123)


def test_a_run_that_crashes_before_it_is_resumed_ends_as_it_had(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    """Its store has all of its journal, the end too, and says again that it is RUNNING."""
    store, client = Store(tracking), MlflowClient(tracking.uri)
    with store.run("ends", kind="run", folder=tmp_path, command="") as run:
        pass
    client.update_run(run.id, status="RUNNING")
    assert [run.name for run in close_crashed(Archive(tracking))] == ["ends"]
    info = client.get_run(run.id).info
    assert (info.status, info.end_time) == ("FINISHED", Journal(tmp_path).entries[-1]["time"])


def test_a_run_that_was_taken_up_and_finished_meanwhile_is_left_alone(
    tmp_path: Path, tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tracking).run("ends", kind="run", folder=tmp_path, command="") as run:
        archive = Archive(tracking)
        before = archive.unfinished()
    monkeypatch.setattr(archive, "unfinished", lambda: before)
    assert close_crashed(archive) == []
    assert archive.run(run.id).status == "FINISHED"


def left_running(store: Store, folder: Path) -> str:
    """The id of a run that is RUNNING, with nobody at it."""
    folder.mkdir()
    with run_lock(folder):
        return store._begin(
            folder.name, folder, "", {**TAGS, "fae.folder": str(folder)}, None, None
        ).id


def test_a_folder_that_may_not_be_entered_or_locked_is_somebody_s(
    tmp_path: Path, tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may do everything, the refusal is simulated."""
    store = Store(tracking)
    theirs, ours = left_running(store, tmp_path / "theirs"), left_running(store, tmp_path / "ours")

    def refusing(folder: Path) -> bool:
        if folder.name == "theirs":
            raise PermissionError(13, "Permission denied", str(folder / "run.lock"))
        return is_alive(folder)

    monkeypatch.setattr(liveness, "is_alive", refusing)
    archive = Archive(tracking)
    assert [run.id for run in close_crashed(archive)] == [ours]
    assert archive.run(theirs).status == "RUNNING"


def test_what_cannot_be_closed_is_passed_over_with_a_warning(
    tmp_path: Path,
    tracking: TrackingConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store(tracking)
    names = ("taken", "unwritable", "torn", "last")
    ids = {name: left_running(store, tmp_path / name) for name in names}
    (tmp_path / "torn" / "run.json").write_text("{")
    journal = tmp_path / "unwritable" / "journal.jsonl"
    journal.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(liveness, "is_alive", lambda _: False)
    archive = Archive(tracking)
    with run_lock(tmp_path / "taken"):
        assert [run.id for run in close_crashed(archive)] == [ids["last"]]
    taken, unwritable = sorted(capsys.readouterr().out.splitlines())
    assert taken.startswith(f"warning: taken ({ids['taken'][:8]}): crashed, but stays")
    assert "this run is running in another process" in taken
    assert str(journal) in unwritable


@pytest.mark.long
def test_a_dead_run_is_closed_though_the_store_refuses_some_of_it(
    tmp_path: Path,
    tracking: TrackingConfig,
    dead: tuple[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id, folder = dead
    (tmp_path / "mlruns").write_text("in the way of the artifacts")
    (folder / "outbox").mkdir()
    (folder / "outbox" / "a.txt").write_text("a")
    Journal(folder).append({"file": "a.txt", "bytes": 1})
    assert [run.id for run in close_crashed(Archive(tracking))] == [run_id]
    assert "rejects 1 entries of run" in capsys.readouterr().out
    found = MlflowClient(tracking.uri).get_run(run_id)
    assert (found.info.status, found.data.metrics) == ("KILLED", {"val/mse": 0.5})
    assert count_unsent(folder) == 1


def test_what_a_deleted_run_lacks_is_kept_until_it_is_restored(
    tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, folder = dead
    client, archive = MlflowClient(tracking.uri), Archive(tracking)
    client.delete_run(run_id)
    with pytest.raises(StoreError, match=f"deleted; mlflow runs restore --run-id {run_id} "):
        deliver(folder, archive)
    assert count_unsent(folder) == 1
    client.restore_run(run_id)
    assert deliver(folder, archive) == 1
    assert client.get_run(run_id).data.metrics == {"val/mse": 0.5}


def test_what_a_deleted_experiment_lacks_is_kept_until_it_is_restored(
    tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, folder = dead
    client, archive = MlflowClient(tracking.uri), Archive(tracking)
    client.delete_experiment(archive.experiment_id)
    told = f"mlflow experiments restore --experiment-id {archive.experiment_id} "
    with pytest.raises(StoreError, match=told):
        deliver(folder, archive)
    assert count_unsent(folder) == 1
    client.restore_experiment(archive.experiment_id)
    assert deliver(folder, archive) == 1
    assert client.get_run(run_id).data.metrics == {"val/mse": 0.5}


def test_a_folder_that_a_run_has_left_adds_nothing_but_metrics(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    store = Store(tracking)
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    with (
        pytest.raises(KeyboardInterrupt),
        store.run("moves", kind="sweep", folder=old, command="") as run,
    ):
        raise KeyboardInterrupt
    with store.run(
        "moves", kind="sweep", folder=new, command="", resume=Archive(tracking).run(run.id)
    ):
        pass
    (old / "delivered").unlink()
    Journal(old).append({"metrics": {"left": 1.0}, "step": 1, "time": 1})
    Journal(old).append({"tags": {"left": "behind"}})
    Journal(old).append({"end": "KILLED", "time": 1})
    assert deliver(old, Archive(tracking)) == count_unsent(old) + 4
    stored = MlflowClient(tracking.uri).get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"left": 1.0})
    assert "left" not in stored.data.tags


def test_a_run_whose_folder_was_moved_is_found_by_its_key(
    tracking: TrackingConfig, dead: tuple[str, Path], tmp_path: Path
) -> None:
    run_id, folder = dead
    moved = tmp_path / "moved"
    folder.rename(moved)
    archive = Archive(tracking)
    assert deliver(moved, archive) == 1
    run = archive.run(run_id)
    assert (run.metrics, home(run)) == ({"val/mse": 0.5}, moved)


def test_a_folder_that_only_names_a_run_is_not_its(
    tracking: TrackingConfig, dead: tuple[str, Path], tmp_path: Path
) -> None:
    """Somebody who knows a run's id, but not its key."""
    run_id, folder = dead
    folder.rename(tmp_path / "gone")
    forged = tmp_path / "forged"
    forged.mkdir()
    Link(run_id, "dies", tracking.uri, tracking.experiment, "").write(forged)
    Journal(forged).append({"tags": {"forged": "yes"}})
    archive = Archive(tracking)
    with pytest.raises(StoreError, match=f"has its folder in {folder}, not in {forged}"):
        deliver(forged, archive)
    assert "forged" not in archive.run(run_id).tags


def test_a_run_that_goes_on_is_not_told_how_it_ended_before(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    store = Store(tracking)
    with (
        pytest.raises(KeyboardInterrupt),
        store.run("again", kind="run", folder=tmp_path, command="") as run,
    ):
        raise KeyboardInterrupt
    (tmp_path / "delivered").unlink()
    client = MlflowClient(tracking.uri)
    resumed = Archive(tracking).run(run.id)
    with store.run("again", kind="run", folder=tmp_path, command="", resume=resumed) as again:
        again.log_metrics({"a": 1.0}, step=1)
        while not client.get_run(run.id).data.metrics:
            time.sleep(0.1)
        assert client.get_run(run.id).info.status == "RUNNING"
    assert client.get_run(run.id).info.status == "FINISHED"


def test_what_another_store_lacks_is_not_delivered(
    tmp_path: Path, tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    """Where a folder says that its store is, is nothing to go by: anybody may have written it."""
    _, folder = dead
    other = replace(tracking, uri=f"sqlite:///{tmp_path}/other.db")
    Store(other)
    with pytest.raises(StoreError, match=f"its folder names tracking.uri={tracking.uri}"):
        deliver(folder, Archive(other))
    assert count_unsent(folder) == 1


def test_a_store_that_goes_away_is_named_whatever_it_is_asked(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    with Store(tracking).run("ends", kind="run", folder=tmp_path, command="") as written:
        pass
    archive = Archive(tracking)
    run = archive.run(written.id)
    questions: dict[str, Callable[[], object]] = {
        "runs": lambda: archive.runs("run"),
        "run": lambda: archive.run(run.id),
        "text": lambda: archive.text(run, "a"),
        "alike": lambda: archive.alike("run", ["a"]),
        "runs_of": lambda: archive.runs_of(run),
        "runs_during": lambda: archive.runs_during(0, 1),
        "epochs": lambda: archive.epochs(run),
        "model": lambda: archive.model(run, 1),
        "add_metrics": lambda: archive.add_metrics(run, {"probe/accuracy": 0.5}, {}),
        "add_report": lambda: archive.add_report(run, tmp_path, Outcome([], 1, {}, "note")),
        "set_folder": lambda: archive.set_folder(run, tmp_path),
        "unfinished": archive.unfinished,
        "close": lambda: archive.close(run, "FAILED", 1, "cause"),
        "take_over": lambda: archive.take_over(run),
    }
    others = {"if_there", "save", "update_paths", "reading", "uploader"}
    assert {name for name in vars(Archive) if name[0] != "_"} == questions.keys() | others
    (tmp_path / "mlflow.db").write_text("not a database" * 100)
    for question in questions.values():
        with pytest.raises(StoreError, match="file is not a database"):
            question()
    archive._client = MlflowClient("http://127.0.0.1:9")
    for name in ("run", "alike", "close", "unfinished"):
        with pytest.raises(StoreError, match=f"^tracking.uri={tracking.uri}: cannot .*refused"):
            questions[name]()


def test_a_run_that_mlflow_cannot_read_is_named_and_left_out(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = []
    tags = {"fae.host": platform.node()}
    for name in ("damaged", "whole"):
        folder = tmp_path / name
        with Store(tracking).run(name, kind="run", folder=folder, command="", tags=tags) as run:
            ids.append(run.id)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET start_time = NULL WHERE run_uuid = ?", ids[:1])
    archive = Archive(tracking)
    assert capsys.readouterr().out == (
        f"warning: tracking.uri={tracking.uri}: without a start time, and left out: run "
        f"{ids[0][:8]}\n"
    )
    assert [run.id for run in archive.runs("run")] == ids[1:]
    assert [run.id for run in archive.runs("run", host=platform.node(), newest=9)] == ids[1:]


def test_who_only_looks_keeps_nobody_from_a_folder(tmp_path: Path) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_alive(tmp_path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            with run_lock(tmp_path):
                assert is_alive(tmp_path)
    finally:
        over.set()
        looking.join()


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files, with their content and the time of their last change."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("says", ["nothing", "of another run", "of another program"])
def test_a_store_s_word_about_a_folder_lets_nobody_touch_it(
    tmp_path: Path, tracking: TrackingConfig, says: str
) -> None:
    """A run that somebody else made, RUNNING on this machine in a folder of this user's."""
    theirs = tmp_path / "project"
    theirs.mkdir()
    (theirs / "journal.jsonl").write_text('{"tags": {"mine": "yes"}}\n')
    if says == "of another run":
        Link("0" * 32, "mine", tracking.uri, tracking.experiment, "mine").write(theirs)
    elif says == "of another program":
        (theirs / "run.json").write_text('{"run_id": 1}')
    store, client = Store(tracking), MlflowClient(tracking.uri)
    tags = {**TAGS, "fae.folder": str(theirs), "fae.command": "rm -r /"}
    run_id = client.create_run(store.experiment_id, tags=tags).info.run_id
    before = tree(theirs)
    archive = Archive(tracking)
    assert crashed_runs(archive) == []
    assert close_crashed(archive) == []
    assert archive.take_over(archive.run(run_id))
    assert tree(theirs) == before
    assert list(theirs.iterdir()) == [Path(path) for path in before]
    stored = client.get_run(run_id)
    assert (stored.info.status, "mine" in stored.data.tags) == ("KILLED", False)


def test_a_folder_that_another_user_wrote_is_not_delivered(
    tracking: TrackingConfig, dead: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, folder = dead
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    archive = Archive(tracking)
    assert close_crashed(archive) == []
    with pytest.raises(LinkError, match=r"run\.json: belongs to another user"):
        deliver(folder, archive)
    monkeypatch.setattr(os, "geteuid", lambda: me)
    assert [run.id for run in close_crashed(archive)] == [run_id]


def test_who_asks_for_a_plan_changes_nothing(
    tmp_path: Path, tracking: TrackingConfig, dead: tuple[str, Path]
) -> None:
    run_id, _ = dead
    config = compose(NO_LOCAL, "experiment=smoke", f"tracking.uri='{tracking.uri}'")
    one = Task(config, [])
    MlflowClient(tracking.uri).set_tag(run_id, "fae.fingerprint", one.fingerprint)
    before = tree(tmp_path)
    only_plan = replace(config.sweep, plan_only=True)
    (planned,) = look_up([one], Archive(tracking), only_plan)
    assert (planned.state, planned.run and planned.run.id) == ("resumable", run_id)
    assert tree(tmp_path) == before
    (found,) = look_up([one], Archive(tracking), config.sweep)
    assert (found.state, found.run and found.run.status) == ("resumable", "KILLED")
    assert tree(tmp_path) != before
