"""Checkpoints in a run's folder, and beside its artifacts."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from fae.config import Config
from fae.tracking.archive import Archive
from fae.tracking.checkpoints import (
    StoredCheckpoint,
    artifacts_of,
    checkpoint_path,
    remove_checkpoints,
    saved_epochs,
)
from fae.tracking.outbox import DamagedError
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
RUN = StoredRun("1", "run", "KILLED", 0, 0, {}, {}, {})


def saved(folder: Path, epoch: int) -> Path:
    """A folder with a checkpoint, whatever is in it."""
    path = checkpoint_path(folder, epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights of %d" % epoch)
    path.with_suffix(".json").write_bytes(b"about %d" % epoch)
    return folder


@pytest.fixture
def run_id(tiny: Tiny, client: MlflowClient) -> str:
    """A run without artifacts."""
    made = client.create_run(Store(tiny().tracking).experiment_id)
    return str(made.info.run_id)


def artifacts(client: MlflowClient, run_id: str) -> Any:
    return artifacts_of(client, client.get_run(run_id))


def files(client: MlflowClient, run_id: str) -> dict[str, list[str]]:
    """The artifacts of a run, by folder below that of its checkpoints."""
    return {
        place.path: sorted(file.path.rpartition("/")[2] for file in found)
        for place in client.list_artifacts(run_id, "checkpoint")
        for found in [client.list_artifacts(run_id, place.path)]
    }


@pytest.mark.parametrize(("epoch", "place"), [(1, "a"), (12, "b"), (999_999_999, "a")])
def test_a_runs_tag_names_epoch_and_place(epoch: int, place: str) -> None:
    checkpoint = StoredCheckpoint(epoch, place)
    assert str(checkpoint) == f"{epoch} {place}"
    assert replace(RUN, tags={"fae.checkpoint": str(checkpoint)}).checkpoint == checkpoint


@pytest.mark.parametrize(
    "tag", ["", "12", "0 a", "-1 a", "1 c", "1 a ", "1 a\n", "1/../2 a", "1e3 a", "٣ a", "9" * 10]
)
def test_a_tag_that_names_no_checkpoint_names_none(tag: str) -> None:
    assert replace(RUN, tags={"fae.checkpoint": tag}).checkpoint is None


def test_what_is_downloaded_is_what_was_uploaded(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    first, second = StoredCheckpoint(3, "a"), StoredCheckpoint(4, "b")
    for checkpoint in (first, second):
        checkpoint.upload(client, run_id, saved(tmp_path / "here", checkpoint.epoch))
    shutil.rmtree(tmp_path / "here" / "checkpoints")
    names = ["checkpoint.json", "checkpoint.safetensors"]
    assert files(client, run_id) == {"checkpoint/a": names, "checkpoint/b": names}
    there = tmp_path / "there"
    there.mkdir()
    second.download(artifacts(client, run_id), there)
    assert saved_epochs(there) == [4]
    assert checkpoint_path(there, 4).read_bytes() == b"weights of 4"
    assert checkpoint_path(there, 4).with_suffix(".json").read_bytes() == b"about 4"
    assert [path.name for path in there.iterdir()] == ["checkpoints"]
    assert not (tmp_path / "here" / "outbox" / "checkpoint").exists()


def test_a_checkpoint_that_is_removed_during_its_upload_is_uploaded_whole(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    class Slow:
        """A client that begins an upload when the checkpoint is no longer there."""

        def log_artifacts(self, *arguments: str) -> None:
            shutil.rmtree(tmp_path / "checkpoints")
            client.log_artifacts(*arguments)

    slow: Any = Slow()
    StoredCheckpoint(1, "a").upload(slow, run_id, saved(tmp_path, 1))
    (tmp_path / "there").mkdir()
    StoredCheckpoint(1, "a").download(
        artifacts_of(client, client.get_run(run_id)), tmp_path / "there"
    )
    assert checkpoint_path(tmp_path / "there", 1).read_bytes() == b"weights of 1"


def test_what_is_not_there_is_not_uploaded(tmp_path: Path) -> None:
    nobody: Any = None
    with pytest.raises(FileNotFoundError):
        StoredCheckpoint(2, "a").upload(nobody, "", saved(tmp_path, 1))


def test_a_link_to_another_file_is_not_uploaded(tmp_path: Path) -> None:
    nobody: Any = None
    path = checkpoint_path(saved(tmp_path, 1), 1)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(DamagedError, match="neither a file nor a folder"):
        StoredCheckpoint(1, "a").upload(nobody, "", tmp_path)


@pytest.mark.parametrize("stored", ["nothing", "half of it", "a folder"])
def test_what_is_not_whole_in_the_store_is_not_downloaded(
    client: MlflowClient, run_id: str, tmp_path: Path, stored: str
) -> None:
    if stored != "nothing":
        client.log_text(run_id, "{}", "checkpoint/a/checkpoint.json")
    if stored == "a folder":
        client.log_text(run_id, "", "checkpoint/a/checkpoint.safetensors/file")
    with pytest.raises(Exception, match="checkpoint"):
        StoredCheckpoint(1, "a").download(artifacts(client, run_id), tmp_path)
    assert saved_epochs(tmp_path) == []


def test_checkpoints_of_a_run_that_has_ended_are_removed(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    for place in "ab":
        StoredCheckpoint(1, place).upload(client, run_id, saved(tmp_path, 1))
    StoredCheckpoint(1, "a").name(client, run_id)
    client.log_text(run_id, "", "config.yaml")
    remove_checkpoints(client, run_id)
    assert "fae.checkpoint" not in client.get_run(run_id).data.tags
    assert [file.path for file in client.list_artifacts(run_id)] == ["config.yaml"]
    remove_checkpoints(client, run_id)


def test_where_nothing_may_be_deleted_only_the_tag_is(
    client: MlflowClient, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    repository = "mlflow.store.artifact.local_artifact_repo.LocalArtifactRepository"
    monkeypatch.setattr(f"{repository}.delete_artifacts", refuse)
    StoredCheckpoint(1, "a").upload(client, run_id, saved(tmp_path, 1))
    StoredCheckpoint(1, "a").name(client, run_id)
    remove_checkpoints(client, run_id)
    assert "fae.checkpoint" not in client.get_run(run_id).data.tags
    assert [*files(client, run_id)] == ["checkpoint/a"]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_the_end_of_a_run_removes_them_unless_it_may_be_resumed(
    tiny: Tiny, client: MlflowClient, run_id: str, tmp_path: Path, status: str
) -> None:
    StoredCheckpoint(1, "a").name(client, run_id)
    uploader = Archive(tiny().tracking).uploader(run_id, tmp_path, resumed=False)
    uploader.deliver([{"end": status, "time": 1}])
    assert ("fae.checkpoint" in client.get_run(run_id).data.tags) == (status == "KILLED")
