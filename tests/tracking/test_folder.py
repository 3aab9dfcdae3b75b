"""A run's folder: kept for a run that may go on, cleared of one that will not."""

import errno
import json
import platform
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import TrainingError
from fae.runs.task import Task, look_up
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import OF_A_RUN, Link, LinkError, home
from fae.tracking.journal import Journal
from fae.tracking.lock import run_lock
from fae.tracking.recovery import close_crashed, count_unsent, deliver
from fae.tracking.store import Store

Tiny = Callable[..., Config]
AWAY = "http://127.0.0.1:9"
GONE = "sqlite:////nowhere/mlflow.db"


@pytest.fixture
def tracking(tiny: Tiny) -> TrackingConfig:
    return tiny().tracking


class Dead(BaseException):
    """What a kill is to a test."""


def begin_and_end(
    tracking: TrackingConfig, folder: Path, status: str, resume: str | None = None, **more: Any
) -> str:
    """A run that ended so, with a checkpoint; its id."""
    ends = {"FAILED": RuntimeError(), "KILLED": KeyboardInterrupt(), "RUNNING": KeyboardInterrupt()}
    resumed = Archive(tracking).run(resume) if resume else None
    opened = Store(tracking).run(
        "first", kind="run", folder=folder, command="the command", resume=resumed, **more
    )
    with suppress(RuntimeError, KeyboardInterrupt), opened as run:
        run_id = run.id
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "epoch=1.safetensors").touch()
        if status in ends:
            raise ends[status]
    if status == "RUNNING":
        MlflowClient(tracking.uri).update_run(run_id, status)
    return run_id


def move_store(folder: Path, uri: str) -> None:
    link = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**link, "store": uri}))


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_cleared_for_another(tracking: TrackingConfig, folder: Path) -> bool:
    """Whether a new run begins in a folder, or is refused and leaves it as it was."""
    before = files(folder)
    try:
        with Store(tracking).run("second", kind="run", folder=folder, command=""):
            return not (folder / "checkpoints").exists()
    except TrainingError:
        return files(folder) != before


@pytest.mark.parametrize(
    ("status", "cleared"),
    [("FINISHED", True), ("FAILED", True), ("KILLED", False), ("RUNNING", False)],
)
def test_a_folder_is_cleared_of_a_run_that_will_not_go_on(
    tracking: TrackingConfig, tmp_path: Path, status: str, cleared: bool
) -> None:
    begin_and_end(tracking, tmp_path, status)
    assert is_cleared_for_another(tracking, tmp_path) == cleared


def test_who_uses_the_folder_of_an_interrupted_run_is_told_what_to_do(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    run_id = begin_and_end(tracking, tmp_path, "KILLED")
    told = (
        f"{tmp_path}: belongs to run {run_id[:8]} (first), which was interrupted; resume it with "
        "the command, name another folder, or empty this one to discard that run"
    )
    with pytest.raises(TrainingError, match=re.escape(told)):
        begin_and_end(tracking, tmp_path, "FINISHED")


@pytest.mark.parametrize(
    ("store", "status", "cleared"),
    [
        (GONE, "KILLED", False),
        (AWAY, "KILLED", False),
        (AWAY, "FAILED", True),
        (AWAY, "FINISHED", True),
    ],
)
def test_where_the_store_does_not_answer_the_journal_tells(
    tracking: TrackingConfig, tmp_path: Path, store: str, status: str, cleared: bool
) -> None:
    begin_and_end(tracking, tmp_path, status)
    move_store(tmp_path, store)
    assert is_cleared_for_another(tracking, tmp_path) == cleared


def test_a_folder_is_cleared_of_a_run_that_was_deleted(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    client.delete_run(begin_and_end(tracking, tmp_path, "KILLED"))
    assert is_cleared_for_another(tracking, tmp_path)


def test_a_folder_is_cleared_of_a_run_that_the_store_does_not_know(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    begin_and_end(tracking, tmp_path, "KILLED")
    Link("0" * 32, "unknown", tracking.uri, "fae", "").write(tmp_path)
    assert is_cleared_for_another(tracking, tmp_path)


def test_a_run_does_not_go_on_with_what_another_left(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    interrupted = begin_and_end(tracking, tmp_path / "here", "KILLED")
    begin_and_end(tracking, tmp_path / "there", "FINISHED")
    with pytest.raises(TrainingError, match=rf"so run {interrupted[:8]} cannot be resumed there"):
        begin_and_end(tracking, tmp_path / "there", "FINISHED", resume=interrupted)
    found = client.get_run(interrupted)
    assert found.info.status == "KILLED"
    assert found.data.tags["fae.folder"] == str(tmp_path / "here")


@pytest.mark.parametrize(
    ("owner", "last"),
    [
        (Link, "write"),
        (Journal, "append"),
        (MlflowClient, "set_tag"),
        (MlflowClient, "update_run"),
    ],
)
def test_a_run_that_crashes_as_it_is_resumed_in_a_new_folder_can_be_closed_and_delivered(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    last: str,
) -> None:
    run_id = begin_and_end(tracking, tmp_path / "old", "KILLED")
    new = tmp_path / "new"
    new.mkdir()
    store, call = Store(tracking), getattr(owner, last)

    def die(*arguments: object, **named: object) -> None:
        call(*arguments, **named)
        raise Dead

    with monkeypatch.context() as until, suppress(Dead), run_lock(new):
        until.setattr(owner, last, die)
        store._begin("first", new, "", {}, Archive(tracking).run(run_id), None)
    close_crashed(Archive(tracking))
    assert client.get_run(run_id).info.status == "KILLED"
    assert count_unsent(new) == deliver(new, Archive(tracking))
    begin_and_end(tracking, new, "FINISHED", resume=run_id)
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("reused", [False, True])
def test_a_run_that_crashes_as_it_is_created_is_resumed_in_its_folder(
    tiny: Tiny,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reused: bool,
) -> None:
    config = tiny(f"seed={900 + reused}")
    one = Task(config, [])
    if reused:
        begin_and_end(config.tracking, tmp_path, "FINISHED")
    create = MlflowClient.create_run

    def die(*arguments: Any, **named: Any) -> None:
        create(*arguments, **named)
        raise Dead

    store = Store(config.tracking)
    told = {"fae.folder": str(tmp_path), "fae.command": "the command", "fae.kind": "run"}
    told |= {"fae.host": platform.node(), "fae.fingerprint": one.fingerprint}
    with monkeypatch.context() as until, suppress(Dead), run_lock(tmp_path):
        until.setattr(MlflowClient, "create_run", die)
        store._begin("dies", tmp_path, "the command", told, None, None)
    (found,) = look_up([one], Archive(config.tracking), config.sweep)
    assert found.state == "resumable"
    assert found.run is not None
    assert found.run.status == "KILLED"
    link = Link.read(tmp_path)
    assert link
    assert (link.run_id, link.name, link.command) == (found.run.id, "dies", "the command")
    begin_and_end(config.tracking, tmp_path, "FINISHED", resume=found.run.id)
    assert client.get_run(found.run.id).info.status == "FINISHED"


def test_a_run_whose_folder_cannot_be_written_is_failed(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    write = Link.write

    def full(link: Link, folder: Path) -> None:
        if not link.run_id:
            return write(link, folder)
        made.append(link.run_id)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Link, "write", full)
    with pytest.raises(OSError, match="No space left"):
        begin_and_end(tracking, tmp_path, "FINISHED")
    run = client.get_run(made[0])
    assert run.info.status == "FAILED"
    assert "No space left" in run.data.tags["fae.error"]


def test_a_run_that_cannot_be_resumed_as_its_folder_cannot_be_written_may_be_resumed_later(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = begin_and_end(tracking, tmp_path, "KILLED")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Link, "write", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left"):
        begin_and_end(tracking, tmp_path, "FINISHED", resume=interrupted)
    assert client.get_run(interrupted).info.status == "KILLED"
    link = Link.read(tmp_path)
    assert link
    assert link.run_id == interrupted


def test_a_run_whose_folder_was_emptied_is_closed_once_it_is_silent(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    here = {"fae.host": platform.node()}
    run_id = begin_and_end(tracking, tmp_path, "RUNNING", tags=here)
    for file in files(tmp_path):
        file.unlink()
    archive = Archive(tracking)
    assert close_crashed(archive) == []
    assert archive.take_over(archive.run(run_id))
    run = archive.run(run_id)
    assert (run.status, home(run)) == ("KILLED", None)


@pytest.mark.parametrize("steps", range(5))
def test_a_folder_whose_clearing_was_cut_short_is_cleared(
    tracking: TrackingConfig, tmp_path: Path, steps: int
) -> None:
    begin_and_end(tracking, tmp_path, "FINISHED")
    for name in OF_A_RUN[:steps]:
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert is_cleared_for_another(tracking, tmp_path)


def test_a_folder_of_somebody_else_s_is_left_as_it_is(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    """It holds what a run would leave, or a file that is named as a run's is."""
    theirs, named = tmp_path / "theirs", tmp_path / "named"
    (theirs / "checkpoints").mkdir(parents=True)
    (theirs / "checkpoints" / "weights").write_text("of months")
    named.mkdir()
    (named / "run.json").write_text('{"of": "another program"}')
    before = files(tmp_path)
    with pytest.raises(TrainingError, match=r"theirs: has checkpoints, but no run\.json that"):
        begin_and_end(tracking, theirs, "FINISHED")
    with pytest.raises(LinkError, match=r"run\.json: damaged, or not written by fae \(run_id\)"):
        begin_and_end(tracking, named, "FINISHED")
    assert {path for path in files(tmp_path) if path.name != "run.lock"} == before.keys()
    assert before.items() <= files(tmp_path).items()
