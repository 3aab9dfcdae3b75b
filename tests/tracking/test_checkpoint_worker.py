"""When the checkpoints of a run are uploaded, and what becomes of it if they cannot be."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fae.config import Config
from fae.tracking.checkpoint_worker import CheckpointWorker
from fae.tracking.checkpoints import checkpoint_path
from fae.tracking.journal import Journal
from fae.tracking.liveness import SupersededError
from fae.tracking.store import Store

SOON, NEVER = 0.01, 1000.0


class Client:
    """What a checkpoint goes to, in memory.

    Attributes:
        uploads: where each went.
        errors: what the next uploads raise.
        away, asked: whether nobody answers, and how often it was asked for the run.
        may_end: whether an upload, once begun, may end.
    """

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.uploads: list[str] = []
        self.errors: list[Exception] = []
        self.away = False
        self.asked = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def get_run(self, _: str) -> Any:
        self.asked += 1
        if self.away:
            raise ConnectionError
        info = SimpleNamespace(experiment_id="1", lifecycle_stage="active", artifact_uri="")
        return SimpleNamespace(info=info, data=SimpleNamespace(tags=self.tags))

    def get_experiment(self, _: str) -> Any:
        return SimpleNamespace(lifecycle_stage="active")

    def log_artifacts(self, _: str, __: str, place: str) -> None:
        self.uploads.append(place)
        assert self.may_end.wait(10)
        if self.errors:
            raise self.errors.pop(0)

    def set_tag(self, _: str, key: str, value: str) -> None:
        self.tags = {**self.tags, key: value}

    def delete_tag(self, _: str, key: str) -> None:
        self.tags = {name: value for name, value in self.tags.items() if name != key}


@pytest.fixture
def client() -> Client:
    return Client()


def saved(folder: Path, epoch: int) -> Path:
    """A folder with a checkpoint of an epoch, and perhaps others."""
    path = checkpoint_path(folder, epoch)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.with_suffix(".json").touch()
    return folder


@contextmanager
def working(
    client: Client,
    folder: Path,
    interval_s: float = SOON,
    check: Callable[[], None] = lambda: None,
) -> Iterator[CheckpointWorker]:
    uploader: Any = SimpleNamespace(client=client, run_id="1", folder=folder)
    worker = CheckpointWorker(uploader, Journal(folder), check, interval_s)
    try:
        yield worker
    finally:
        client.may_end.set()
        worker.close(may_resume=False, patience_s=10)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("is_server", "checkpoint_s", "uploads"),
    [(False, 60.0, False), (True, None, False), (True, 60.0, True)],
)
def test_only_a_server_gets_checkpoints_and_only_if_it_is_to(
    tiny: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_server: bool,
    checkpoint_s: float | None,
    uploads: bool,
) -> None:
    if is_server:
        monkeypatch.setattr("fae.tracking.store.file_of", lambda _: None)
    store = Store(replace(tiny().tracking, checkpoint_s=checkpoint_s))
    with store.run("run", kind="run", folder=tmp_path, command=""):
        threads = [thread.name for thread in threading.enumerate()]
    assert ("checkpoints" in threads) == uploads


def test_the_newest_is_uploaded_to_both_places_in_turn(client: Client, tmp_path: Path) -> None:
    client.tags = {"fae.checkpoint": "5 a"}
    saved(tmp_path, 6)
    with working(client, saved(tmp_path, 7)):
        until(lambda: client.tags["fae.checkpoint"] == "7 b")
        saved(tmp_path, 8)
        until(lambda: client.tags["fae.checkpoint"] == "8 a")
    assert client.uploads == ["checkpoint/b", "checkpoint/a"]


def test_nothing_is_uploaded_before_the_interval_is_over(client: Client, tmp_path: Path) -> None:
    with working(client, saved(tmp_path, 1), NEVER):
        pass
    assert client.uploads == []


def test_it_is_named_once_the_store_has_all_that_was_logged_before(
    client: Client, tmp_path: Path
) -> None:
    journal = Journal(saved(tmp_path, 1))
    for number in range(3):
        journal.append({"tags": {"a": str(number)}})
    uploader: Any = SimpleNamespace(client=client, run_id="1", folder=tmp_path)
    worker = CheckpointWorker(uploader, journal, lambda: None, SOON)
    until(lambda: client.uploads)
    journal.append({"tags": {"a": "logged later"}})
    journal.mark_uploaded(2)
    time.sleep(0.1)
    assert client.tags == {}
    journal.mark_uploaded(1)
    until(lambda: client.tags == {"fae.checkpoint": "1 a"})
    worker.close(may_resume=True, patience_s=10)


def test_an_interrupted_run_uploads_its_newest_at_once(client: Client, tmp_path: Path) -> None:
    with working(client, saved(tmp_path, 1), NEVER) as worker:
        worker.close(may_resume=True, patience_s=10)
        assert client.tags == {"fae.checkpoint": "1 a"}


def test_an_interrupted_run_waits_half_of_its_patience(client: Client, tmp_path: Path) -> None:
    client.may_end.clear()
    with working(client, saved(tmp_path, 1), NEVER) as worker:
        start = time.monotonic()
        worker.close(may_resume=True, patience_s=0.2)
        assert time.monotonic() - start < 5
        assert client.tags == {}


@pytest.mark.long
def test_what_is_being_uploaded_when_the_run_ends_is_removed(
    client: Client, tmp_path: Path
) -> None:
    client.may_end.clear()
    with working(client, saved(tmp_path, 1)) as worker:
        until(lambda: client.uploads)
        worker.close(may_resume=False, patience_s=0)
    assert client.tags == {}


def test_who_was_taken_over_uploads_nothing(client: Client, tmp_path: Path) -> None:
    asked = threading.Event()

    def check() -> None:
        asked.set()
        raise SupersededError

    with working(client, saved(tmp_path, 1), check=check) as worker:
        assert asked.wait(10)
        worker.close(may_resume=True, patience_s=10)
    assert client.uploads == []


def test_who_is_taken_over_during_an_upload_does_not_name_it(
    client: Client, tmp_path: Path
) -> None:
    def check() -> None:
        if client.uploads:
            raise SupersededError

    with working(client, saved(tmp_path, 1), check=check) as worker:
        until(lambda: client.uploads)
        worker.close(may_resume=True, patience_s=10)
    assert client.tags == {}


def test_a_refusal_is_said_once_and_each_interval_tries_again(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client.errors = [PermissionError(13, "no"), PermissionError(13, "no")]
    with working(client, saved(tmp_path, 1)):
        until(lambda: client.tags)
    assert client.uploads == ["checkpoint/a"] * 3
    assert capsys.readouterr().out == (
        "warning: the checkpoint of epoch 1 cannot be stored ([Errno 13] no); training continues, "
        "and it is tried again every 0.01 s\n"
    )


def test_an_outage_is_left_to_who_delivers_the_metrics(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client.away = True
    with working(client, saved(tmp_path, 1)):
        until(lambda: client.asked >= 4)
        client.away = False
        until(lambda: client.tags)
    assert capsys.readouterr().out == ""


def test_a_checkpoint_that_training_has_just_removed_is_passed_over(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here of one of its two files."""
    (saved(tmp_path, 1) / "checkpoints" / "epoch=1.json").unlink()
    with working(client, tmp_path):
        time.sleep(0.1)
        saved(tmp_path, 2)
        until(lambda: client.tags == {"fae.checkpoint": "2 a"})
    assert capsys.readouterr().out == ""
