"""From the journal to the store: in order, once, and however long the store is away."""

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from conftest import idle
from matplotlib.figure import Figure
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import StoreError
from fae.runtime import files
from fae.tracking import delivery, uploader
from fae.tracking.archive import Archive
from fae.tracking.delivery import UploadWorker
from fae.tracking.journal import Entry, Journal
from fae.tracking.lock import run_lock
from fae.tracking.recovery import close_crashed, count_unsent, deliver
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.uploader import TRIES, RejectedError, Uploader

Tiny = Callable[..., Config]


class Shelf:
    """A store that takes up to three entries at a time, if it does not happen to be away."""

    def __init__(self) -> None:
        self.taken: list[Entry] = []
        self.batches: list[int] = []
        self.away = False
        self.asked = threading.Event()

    def take(self, entries: Sequence[Entry]) -> int:
        self.asked.set()
        if self.away:
            raise ConnectionError("nobody at home\nand a second line")
        self.taken += entries[:3]
        self.batches.append(len(entries[:3]))
        return len(entries[:3])


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FLUSH_INTERVAL_S", 0.05)
    monkeypatch.setattr(delivery, "SHUTDOWN_WAIT_S", 0.5)
    monkeypatch.setattr(uploader, "AGAIN_S", 0.01)


def say(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append({"end": "KILLED", "time": len(journal.entries)})


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [entry["time"] for entry in entries]


def test_what_is_said_within_a_moment_is_stored_together_and_in_order(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FLUSH_INTERVAL_S", 60.0)
    journal = Journal(tmp_path)
    worker = UploadWorker(journal, shelf.take, idle())
    say(journal, 7)
    assert worker.close()
    assert numbers(shelf.taken) == list(range(7))
    assert shelf.batches == [3, 3, 1]
    assert Journal(tmp_path).delivered == 7


def test_what_an_earlier_process_left_is_stored_first(tmp_path: Path, shelf: Shelf) -> None:
    earlier = Journal(tmp_path)
    for number in range(4):
        earlier.append({"end": "KILLED", "time": number})
    earlier.mark_uploaded(2)
    journal = Journal(tmp_path)
    worker = UploadWorker(journal, shelf.take, idle())
    say(journal, 1)
    assert worker.close()
    assert numbers(shelf.taken) == [2, 3, 4]


def test_after_an_outage_all_arrives_once_with_one_warning(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path)
    worker = UploadWorker(journal, shelf.take, idle())
    shelf.away = True
    for _ in range(3):
        shelf.asked.clear()
        say(journal, 2)
        assert shelf.asked.wait(10)
    shelf.away = False
    assert worker.close()
    assert numbers(shelf.taken) == list(range(6))
    assert capsys.readouterr().out.splitlines() == [
        "warning: the store is not reachable (nobody at home); training continues; uploading later",
        "the store is back",
    ]


def test_a_store_that_stays_away_holds_up_the_end_but_little(tmp_path: Path, shelf: Shelf) -> None:
    journal = Journal(tmp_path)
    worker = UploadWorker(journal, shelf.take, idle())
    shelf.away = True
    back = threading.Timer(10, setattr, (shelf, "away", False))
    back.start()
    say(journal, 3)
    start = time.monotonic()
    assert not worker.close()
    assert time.monotonic() - start < 5
    assert numbers(Journal(tmp_path).pending()) == [0, 1, 2]
    time.sleep(0.5)
    shelf.asked.clear()
    assert not shelf.asked.wait(0.5)
    back.cancel()


@pytest.mark.parametrize("in_a_hurry", ["killed", "signalled"])
def test_who_is_in_a_hurry_does_not_wait_for_a_store_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_a_hurry: str
) -> None:
    journal = Journal(tmp_path)
    goes_on = threading.Event()
    worker = UploadWorker(journal, lambda entries: goes_on.wait(10) or len(entries), idle())
    say(journal, 1)
    if in_a_hurry == "signalled":
        monkeypatch.setattr("fae.runtime.signals._arrived", 15)
        monkeypatch.setattr("fae.runtime.signals._arrived_s", time.monotonic())
    start = time.monotonic()
    assert not worker.close(hurry=in_a_hurry == "killed")
    assert time.monotonic() - start < 5
    goes_on.set()


def test_runs_that_end_by_one_signal_wait_no_longer_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the half second that each has."""
    monkeypatch.setattr(delivery, "SHUTDOWN_WAIT_S", 3.0)
    monkeypatch.setattr("fae.runtime.signals._arrived", 15)
    monkeypatch.setattr("fae.runtime.signals._arrived_s", time.monotonic() - 2.9)
    goes_on = threading.Event()
    start = time.monotonic()
    for name in ("run", "sweep"):
        (tmp_path / name).mkdir()
        journal = Journal(tmp_path / name)
        worker = UploadWorker(journal, lambda entries: goes_on.wait(10) or len(entries), idle())
        say(journal, 1)
        assert not worker.close()
    assert 0.9 < time.monotonic() - start < 2
    goes_on.set()


class Forgetful:
    """A client whose calls do their work, and of which each loses its first answer.

    Attributes:
        lost: the calls that have done so.
    """

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.lost: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            answer = getattr(self.client, name)(*arguments, **named)
            if name not in self.lost:
                self.lost.add(name)
                raise ConnectionError("the answer is lost")
            return answer

        return call


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Run, UploadWorker]]:
    """A run that is kept for later, not stored."""
    worker = UploadWorker(Journal(tmp_path / "idle"), len, idle())
    yield Run("id", "kept", tmp_path, Journal(tmp_path), worker), worker
    worker.close()


def say_one_of_each(run: Run) -> None:
    run.log_parameters({"hidden": 4})
    run.log_data("synthetic", "digest", "here", {"train": 1})
    run.log_metrics({"a": 1.0, "b": float("nan")}, step=1)
    run.log_metrics({"a": 2.0}, step=2)
    run.log_text("hello", "greetings/english.txt")
    run.log_image(np.zeros((8, 600), np.uint8), "picture", step=1)
    network = torch.nn.Linear(4, 4).eval()
    run.log_model(network, np.zeros((2, 4), np.float32), step=2)


def test_what_is_stored_again_for_a_lost_answer_is_there_once(
    tiny: Tiny, client: MlflowClient, tmp_path: Path, kept: tuple[Run, UploadWorker]
) -> None:
    run, _ = kept
    say_one_of_each(run)
    run.set_tags({"tag": "set"})
    entries = [*Journal(tmp_path).entries, {"end": "KILLED", "time": 1234567890123}]
    store = Store(tiny().tracking)
    made = client.create_run(store.experiment_id).info.run_id
    forgetful: Any = Forgetful(client)
    stored = Uploader(forgetful, made, tmp_path)
    while entries:
        with suppress(ConnectionError, RejectedError):
            del entries[: stored.deliver(entries)]
            forgetful.lost.clear()
    found = client.get_run(made)
    info, data = found.info, found.data
    assert found.inputs
    assert found.outputs
    assert (info.status, info.end_time) == ("KILLED", 1234567890123)
    assert (data.params, data.tags["tag"]) == ({"hidden": "4"}, "set")
    assert [point.value for point in client.get_metric_history(made, "a")] == [1.0, 2.0]
    assert len(client.get_metric_history(made, "b")) == 1
    assert len(found.inputs.dataset_inputs) == 1
    assert [file.path for file in client.list_artifacts(made, "greetings")] == [
        "greetings/english.txt"
    ]
    small, whole = sorted(file.path for file in client.list_artifacts(made, "images"))
    assert small.startswith("images/picture+step+1+timestamp+")
    assert (small, whole) == (whole.replace(".png", "+compressed.webp"), whole)
    (output,) = found.outputs.model_outputs
    (model,) = client.search_logged_models([store.experiment_id], f"source_run_id = '{made}'")
    assert (output.model_id, output.step, model.status) == (model.model_id, 2, "READY")
    assert [path for path in (tmp_path / "outbox").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("damaged", ["pictures/picture-1.png", "model/MLmodel"])
def test_a_file_that_is_damaged_as_it_waits_is_left_out_with_a_warning(
    tiny: Tiny,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damaged: str,
) -> None:
    monkeypatch.setattr(delivery, "FLUSH_INTERVAL_S", 60.0)
    with Store(tiny().tracking).run("cut", kind="run", folder=tmp_path, command="") as run:
        kept_back = Run(run.id, "cut", tmp_path, run._journal, Mock(UploadWorker, superseded=False))
        say_one_of_each(kept_back)
        (tmp_path / "outbox" / damaged).write_bytes(b"")
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics["a"]) == ("FINISHED", 2.0)
    assert len(client.list_artifacts(run.id, "images")) == (2 if "model" in damaged else 0)
    assert bool(stored.outputs and stored.outputs.model_outputs) == ("picture" in damaged)
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert str(tmp_path / "outbox" / damaged.partition("/")[0]) in warning


def test_a_resumed_run_logs_nothing_twice(tmp_path: Path, kept: tuple[Run, UploadWorker]) -> None:
    run, worker = kept
    say_one_of_each(run)
    shutil.rmtree(tmp_path / "outbox")
    before = (tmp_path / "journal.jsonl").read_bytes()
    carried_on = Run("id", "kept", tmp_path, Journal(tmp_path), worker)
    say_one_of_each(carried_on)
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    carried_on.log_metrics({"a": 2.0, "c": 3.0}, step=2)
    assert Journal(tmp_path).entries[-1]["metrics"] == {"c": 3.0}


class Torn(Figure):
    """A figure of which the disk takes half."""

    def savefig(self, fname: Any, **_: Any) -> None:
        Path(fname).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_the_disk_does_not_take_whole_is_left_out_and_may_come_later(
    tmp_path: Path, kept: tuple[Run, UploadWorker], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = kept
    run.log_figure(Torn(), "figures/curves.png")
    place = tmp_path / "outbox" / "figures" / "curves.png"
    assert not place.exists()
    assert capsys.readouterr().out == (
        f"warning: {place}: cannot be written (No space left on device); it is left out\n"
    )
    run.log_figure(Figure(), "figures/curves.png")
    (entry,) = Journal(tmp_path).entries
    assert entry == {"file": "figures/curves.png", "bytes": place.stat().st_size}


def test_a_model_that_would_not_fit_is_not_begun(
    tmp_path: Path,
    kept: tuple[Run, UploadWorker],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = kept
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    monkeypatch.setattr("mlflow.pytorch.save_model", None)
    run.log_model(torch.nn.Linear(4, 4).eval(), np.zeros((2, 4), np.float32), step=2)
    assert "outbox/model: cannot be written (No space left on device)" in capsys.readouterr().out
    assert Journal(tmp_path).entries == []


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [(None, "KILLED", None), (RuntimeError("boom"), "FAILED", "RuntimeError: boom")],
    ids=str,
)
def test_a_run_with_files_that_cannot_be_written_may_go_on(
    tiny: Tiny,
    client: MlflowClient,
    tmp_path: Path,
    error: Exception | None,
    status: str,
    told: str | None,
) -> None:
    with (
        pytest.raises(RuntimeError, match="boom") if error else nullcontext(),
        Store(tiny().tracking).run("full", kind="run", folder=tmp_path, command="") as run,
    ):
        (tmp_path / "outbox").write_text("in the way of the folder")
        say_one_of_each(run)
        if error:
            raise error
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.tags.get("fae.error")) == (status, told)
    assert stored.data.metrics["a"] == 2.0
    assert client.list_artifacts(run.id) == []
    assert run.lacking.startswith(
        f"full: {tmp_path} is missing greetings/english.txt, pictures/picture-1.png, model"
    )


def test_a_model_of_which_a_kill_left_no_word_is_made_again(
    tmp_path: Path, kept: tuple[Run, UploadWorker]
) -> None:
    run, _ = kept
    left = tmp_path / "outbox" / "model" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("")
    run.log_model(torch.nn.Linear(4, 4).eval(), np.zeros((2, 4), np.float32), step=2)
    (entry,) = Journal(tmp_path).entries
    assert entry["model"] == "model"
    assert (left.parent / "MLmodel").exists()
    assert not left.exists()


def raise_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_said_on_a_full_disk_is_stored_once_though_the_run_is_interrupted(
    tiny: Tiny, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tiny().tracking)
    with (
        monkeypatch.context() as disk,
        suppress(KeyboardInterrupt),
        store.run("full", kind="run", folder=tmp_path, command="") as run,
    ):
        run.log_metrics({"a": 1.0}, step=1)
        disk.setattr(files, "write_all", raise_full)
        run.log_metrics({"a": 2.0}, step=2)
        raise KeyboardInterrupt
    assert client.get_run(run.id).info.status == "KILLED"
    resumed = Archive(tiny().tracking).run(run.id)
    with store.run("full", kind="run", folder=tmp_path, command="", resume=resumed) as again:
        again.log_metrics({"a": 1.0}, step=1)
        again.log_metrics({"a": 2.0}, step=2)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert [point.value for point in client.get_metric_history(run.id, "a")] == [1.0, 2.0]


def test_a_run_whose_disk_stays_full_is_stored_whole(
    tiny: Tiny, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tiny().tracking)
    with (
        monkeypatch.context() as disk,
        store.run("full", kind="run", folder=tmp_path, command="") as run,
    ):
        disk.setattr(files, "write_all", raise_full)
        run.log_metrics({"a": 1.0}, step=1)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert [point.value for point in client.get_metric_history(run.id, "a")] == [1.0]


def test_a_run_that_crashes_as_it_is_resumed_is_closed(
    tiny: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    tracking = tiny().tracking
    store = Store(tracking)
    with (
        pytest.raises(KeyboardInterrupt),
        store.run("ends", kind="run", folder=tmp_path, command="") as run,
    ):
        raise KeyboardInterrupt
    with run_lock(tmp_path):
        store._begin("ends", tmp_path, "", {}, Archive(tracking).run(run.id), None)
    assert client.get_run(run.id).info.status == "RUNNING"
    close_crashed(Archive(tracking))
    assert client.get_run(run.id).info.status == "KILLED"


class Refusing(Shelf):
    """A store that answers, and refuses entries of some numbers."""

    def __init__(self, *refused: int) -> None:
        super().__init__()
        self.refused = set(refused)

    def take(self, entries: Sequence[Entry]) -> int:
        if entries[0]["time"] in self.refused:
            raise RejectedError("no such folder")
        return super().take(entries[:1])


def test_what_is_refused_holds_up_nothing_else_and_is_offered_again_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf, journal = Refusing(1, 3), Journal(tmp_path)
    worker = UploadWorker(journal, shelf.take, idle())
    say(journal, 5)
    while len(shelf.taken) < 3:
        time.sleep(0.01)
    assert (numbers(shelf.taken), journal.aside) == ([0, 2, 4], [1, 3])
    shelf.refused = {3}
    assert not worker.close()
    assert numbers(shelf.taken) == [0, 2, 4, 1]
    assert Journal(tmp_path).lacking == 1
    (warning,) = capsys.readouterr().out.splitlines()
    assert warning == (
        "warning: the store rejects the run's end (no such folder); what it rejects is kept, all "
        "else is stored"
    )


@pytest.mark.parametrize("who", ["the run itself", "a later command"])
def test_what_was_refused_and_is_damaged_since_is_lost_and_named(
    tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    tracking = replace(tiny().tracking, uri=f"sqlite:///{tmp_path}/mlflow.db")
    store, folder = Store(tracking), tmp_path / "run"
    (tmp_path / "mlruns").write_text("in the way of the artifacts")
    folder.mkdir()
    picture = folder / "outbox" / "pictures" / "picture-1.png"

    def damage() -> None:
        (tmp_path / "mlruns").unlink()
        picture.write_bytes(b"")

    with store.run("refused", kind="run", folder=folder, command="") as run:
        say_one_of_each(run)
        if who == "the run itself":
            while len(run._journal.aside) < 3:
                time.sleep(0.01)
            damage()
    if who == "the run itself":
        lacking = f"refused: damaged, and left out of the store: {picture}: cannot be read ("
        assert run.lacking.startswith(lacking)
        assert f"warning: {picture}: cannot be read (" in capsys.readouterr().out
    else:
        damage()
        with pytest.raises(StoreError, match=rf"damaged and lost: {picture}: .*all else is sto"):
            deliver(folder, Archive(tracking))
    assert count_unsent(folder) == 0
    assert deliver(folder, Archive(tracking)) == 0
    outputs = MlflowClient(tracking.uri).get_run(run.id).outputs
    assert outputs
    assert len(outputs.model_outputs) == 1


class Broken:
    """A client that answers questions about runs, and cannot do one thing."""

    def __init__(self, client: MlflowClient, error: Exception) -> None:
        self.client = client
        self.error = error
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def log_batch(self, *_: Any, **__: Any) -> None:
        self.tries += 1
        raise self.error


def test_a_store_that_answers_is_tried_several_times_before_it_is_said_to_refuse(
    tiny: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    store = Store(tiny().tracking)
    run_id = client.create_run(store.experiment_id).info.run_id
    broken: Any = Broken(client, PermissionError(13, "Permission denied", "a"))
    stored = Uploader(broken, run_id, tmp_path)

    def tries() -> int:
        broken.tries = 0
        with pytest.raises(RejectedError):
            stored.deliver([{"tags": {"a": "b"}}])
        tries: int = broken.tries
        return tries

    assert tries() == TRIES
    broken.error = PermissionError(13, "Permission denied", "b")  # of the same kind
    assert tries() == 1
    broken.error = OSError(28, "No space left on device")
    assert tries() == TRIES


@pytest.mark.usefixtures("own_store")
def test_a_store_whose_files_cannot_be_written_has_all_else_and_gets_them_later(
    tmp_path: Path, tiny: Tiny
) -> None:
    tracking = replace(tiny().tracking, uri=f"sqlite:///{tmp_path}/mlflow.db")
    store, folder = Store(tracking), tmp_path / "run"
    (tmp_path / "mlruns").write_text("in the way of the artifacts")
    folder.mkdir()
    with store.run("refused", kind="run", folder=folder, command="") as run:
        say_one_of_each(run)
    client = MlflowClient(tracking.uri)
    found = client.get_run(run.id)
    assert (found.info.status, found.data.metrics["a"]) == ("FINISHED", 2.0)
    assert run.lacking == (
        f"refused: not completely in the store; the rest is kept in {folder}; python -m fae.sync "
        f"tracking.uri={tracking.uri} {folder} uploads it"
    )
    with pytest.raises(StoreError, match=r"rejects 3 entries of run \w{8} \(refused\) \(.*Not a"):
        deliver(folder, Archive(tracking))
    (tmp_path / "mlruns").unlink()
    assert deliver(folder, Archive(tracking)) == 3
    assert {f.path for f in client.list_artifacts(run.id)} == {"greetings", "images", "model"}
    outputs = client.get_run(run.id).outputs
    assert outputs
    assert len(outputs.model_outputs) == 1
