"""A run is resumed from what its store has, in a folder that was never its own."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import StoreError, TrainingError
from fae.tracking import restoration
from fae.tracking.archive import Archive
from fae.tracking.checkpoints import StoredCheckpoint, checkpoint_path, saved_epochs
from fae.tracking.claim import TakenError
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import Link, home
from fae.tracking.journal import Journal
from fae.tracking.run import Run
from fae.tracking.store import Store

Tiny = Callable[..., Config]


@pytest.fixture
def tracking(tiny: Tiny) -> TrackingConfig:
    return tiny().tracking


def log_one_of_each(run: Run) -> None:
    run.log_data("synthetic", "digest", "here", {"train": 1})
    run.log_metrics({"a": 1.0, "b": float("nan")}, step=1)
    run.log_metrics({"a": 2.0}, step=2)
    run.log_text("hello", "config.yaml")
    run.log_text("hello", "figures/curves.txt")
    run.log_image(np.zeros((8, 8), np.uint8), "picture", step=1)


def interrupted(
    tracking: TrackingConfig,
    folder: Path,
    epoch: int | None = 3,
    log: Callable[[Run], None] = log_one_of_each,
) -> str:
    """The id of a run that has logged one of each, and has a checkpoint in its store."""
    folder.mkdir()
    store = Store(tracking)
    with (
        suppress(KeyboardInterrupt),
        store.run("cut", kind="run", folder=folder, command="", parameters={"seed": 0}) as run,
    ):
        log(run)
        raise KeyboardInterrupt
    if epoch is not None:
        path = checkpoint_path(folder, epoch)
        path.parent.mkdir()
        path.write_bytes(b"weights")
        path.with_suffix(".json").write_bytes(b"about")
        checkpoint = StoredCheckpoint(epoch, "b")
        checkpoint.upload(store._client, run.id, folder)
        checkpoint.name(store._client, run.id)
    return run.id


def resume(tracking: TrackingConfig, run_id: str, folder: Path) -> Any:
    """The run in another folder, as a context."""
    folder.mkdir(exist_ok=True)
    stored = Archive(tracking).run(run_id)
    return Store(tracking).run(
        "cut", kind="run", folder=folder, command="", resume=stored, restore=True
    )


def artifacts(client: MlflowClient, run_id: str) -> set[str]:
    """Paths of files and folders."""
    found = [client.list_artifacts(run_id, folder) for folder in (None, "images", "figures")]
    return {file.path for files in found for file in files}


def metrics(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, str]]:
    history = client.get_metric_history(run_id, key)
    return sorted((point.step, str(point.value)) for point in history)


def test_the_folder_has_the_checkpoint_and_a_journal_of_what_was_logged(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    run_id = interrupted(tracking, there)
    with resume(tracking, run_id, here) as run:
        assert run.id == run_id
        assert saved_epochs(here) == [3]
        assert checkpoint_path(here, 3).read_bytes() == b"weights"
    expected = [entry for entry in told(there) if "data" not in entry]
    assert len(expected) == 6
    assert sorted(map(str, told(here))) == sorted(map(str, expected))


def told(folder: Path) -> list[dict[str, Any]]:
    """What the journal of a folder has of what was logged, without the sizes of files."""
    others = {"carried_on", "end"}
    entries = [entry for entry in Journal(folder).entries if not entry.keys() & others]
    return [{key: value for key, value in entry.items() if key != "bytes"} for entry in entries]


def test_it_logs_nothing_a_second_time(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    def log(run: Run) -> None:
        log_one_of_each(run)
        network = torch.nn.Linear(4, 4).eval()
        run.log_model(network, np.zeros((2, 4), np.float32), step=2)

    run_id = interrupted(tracking, tmp_path / "there", log=log)
    before = artifacts(client, run_id)
    with resume(tracking, run_id, tmp_path / "here") as run:
        log(run)
        run.log_metrics({"a": 3.0}, step=3)
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert metrics(client, run_id, "a") == [(1, "1.0"), (2, "2.0"), (3, "3.0")]
    assert metrics(client, run_id, "b") == [(1, "nan")]
    assert artifacts(client, run_id) == before - {"checkpoint"}
    assert found.inputs
    assert found.outputs
    assert len(found.inputs.dataset_inputs) == len(found.outputs.model_outputs) == 1


def test_the_former_folder_is_not_that_of_the_run_any_more(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    """On another machine it may have the path that the run's folder has on this one."""
    there, here = tmp_path / "there", tmp_path / "here"
    run_id = interrupted(tracking, there)
    old = Archive(tracking).run(run_id)
    assert home(old) == there
    with resume(tracking, run_id, here):
        now = Archive(tracking).run(run_id)
        assert home(now) == here
        assert now.tags["fae.folder"] == str(here)
        assert home(Archive(tracking).run(run_id)) == here
    MlflowClient(tracking.uri).set_tag(run_id, "fae.folder", str(there))
    assert home(Archive(tracking).run(run_id)) is None


def test_what_an_earlier_attempt_left_in_the_folder_is_replaced(
    tracking: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    """The run was here, then on another machine, and is here again."""
    folder = tmp_path / "folder"
    run_id = interrupted(tracking, folder)
    for epoch in (1, 7):
        checkpoint_path(folder, epoch).touch()
    Journal(folder).append({"metrics": {"a": 9.0}, "step": 2, "time": 5})
    with resume(tracking, run_id, folder):
        assert saved_epochs(folder) == [3]
    assert metrics(client, run_id, "a") == [(1, "1.0"), (2, "2.0")]


@pytest.mark.parametrize("at", ["Journal.append", "MlflowClient.set_tag"])
def test_what_a_crash_interrupts_is_done_again(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    run_id, here = interrupted(tracking, tmp_path / "there"), tmp_path / "here"

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        where = "mlflow" if at.startswith("Mlflow") else "fae.tracking.journal"
        patched.setattr(f"{where}.{at}", crash)
        with resume(tracking, run_id, here):
            pass
    assert Archive(tracking).run(run_id).status == "KILLED"
    with resume(tracking, run_id, here):
        assert saved_epochs(here) == [3]


@pytest.mark.parametrize("others", ["a run's", "somebody's"])
def test_a_folder_of_something_else_is_left_alone(
    tracking: TrackingConfig, tmp_path: Path, others: str
) -> None:
    run_id = interrupted(tracking, tmp_path / "there")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("")
    if others == "a run's":
        Link("another", "", tracking.uri, "fae", "").write(folder)
    with pytest.raises(TrainingError, match="another folder"), resume(tracking, run_id, folder):
        pass
    assert (folder / "journal.jsonl").read_text() == ""
    assert Archive(tracking).run(run_id).status == "KILLED"


@pytest.mark.parametrize("harm", ["gone", "half of it"])
def test_a_run_whose_checkpoint_is_gone_starts_over(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: str,
) -> None:
    run_id = interrupted(tracking, tmp_path / "there", epoch=None)
    client.set_tag(run_id, "fae.checkpoint", "3 a")
    if harm == "half of it":
        client.log_text(run_id, "{}", "checkpoint/a/checkpoint.json")
    with resume(tracking, run_id, tmp_path / "here") as run:
        log_one_of_each(run)
        assert saved_epochs(tmp_path / "here") == []
    assert "cut: its checkpoint is not in the store any more" in capsys.readouterr().out
    assert metrics(client, run_id, "a") == [(1, "1.0"), (2, "2.0")]


def test_an_outage_during_the_download_costs_no_epoch(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = interrupted(tracking, tmp_path / "there")

    def away(*_: object) -> None:
        raise RuntimeError("503 Service Unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(StoredCheckpoint, "download", away)
        patched.setattr(restoration, "PATIENCE_S", 0)
        with (
            pytest.raises(StoreError, match="503 Service Unavailable"),
            resume(tracking, run_id, tmp_path / "here"),
        ):
            pass
    assert Archive(tracking).run(run_id).status == "KILLED"
    with resume(tracking, run_id, tmp_path / "here"):
        assert saved_epochs(tmp_path / "here") == [3]


def test_a_run_that_another_process_has_taken_meanwhile_is_left_to_it(
    tracking: TrackingConfig,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = interrupted(tracking, tmp_path / "there")
    key = client.get_run(run_id).data.tags["fae.key"]

    def slow(*_: object) -> None:
        client.log_param(run_id, "fae.attempt.3", "another process")

    monkeypatch.setattr(StoredCheckpoint, "download", slow)
    with pytest.raises(TakenError), resume(tracking, run_id, tmp_path / "here"):
        pass
    left = client.get_run(run_id)
    assert (left.info.status, left.data.tags["fae.key"]) == ("KILLED", key)
