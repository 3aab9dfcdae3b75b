"""Where the checkpoints of a run are: in its folder and, if the store is a server, in the store.

A folder has ``checkpoints/epoch=12.safetensors`` and beside it ``epoch=12.json``; what is in them
is left to ``fae.runs.checkpoint``. For machines that do not see the folder the store has the newest
one, in one of two places among the run's artifacts, ``checkpoint/a`` and ``checkpoint/b``. A tag
names its epoch and its place once it is complete; the next one overwrites the other place, so that
nothing has to be deleted meanwhile, which many users of a server may not do.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fae.runtime import files
from fae.tracking.limits import downloading
from fae.tracking.outbox import Outbox

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

TAG = "fae.checkpoint"
"""Tag of a run: the epoch and the place of its checkpoint in the store, ``12 a``."""
ARTIFACTS = "checkpoint"
"""Folder of both places among the artifacts, and of what waits for its upload in the outbox."""
LARGEST = {".json": 1_000_000, ".safetensors": 4_000_000_000}
"""Bytes of a file that is downloaded, at most, by its suffix."""


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Where a run's folder holds the checkpoint of an epoch, from 1."""
    return folder / "checkpoints" / f"epoch={epoch}.safetensors"


def saved_epochs(folder: Path) -> list[int]:
    """The epochs that a run's folder holds, sound or not, newest first."""
    paths = (folder / "checkpoints").glob("epoch=*.safetensors")
    epochs = (path.stem.removeprefix("epoch=") for path in paths)
    return sorted((int(epoch) for epoch in epochs if epoch.isdecimal()), reverse=True)


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint in the store.

    Attributes:
        epoch: after which it was saved, from 1.
        place: where it is, ``a`` or ``b``.
    """

    epoch: int
    place: str

    def __str__(self) -> str:
        return f"{self.epoch} {self.place}"

    @staticmethod
    def of(tags: Mapping[str, str]) -> "StoredCheckpoint | None":
        """The one that a run's tags name; None if they name none, as anyone may write there."""
        found = re.fullmatch(r"([1-9][0-9]{0,8}) ([ab])", tags.get(TAG, ""))
        return StoredCheckpoint(int(found[1]), found[2]) if found else None

    def is_there(self, artifacts: "ArtifactRepository") -> bool:
        """Whether a run's artifacts have it."""
        folder = f"{ARTIFACTS}/{self.place}"
        found = {file.path for file in artifacts.list_artifacts(folder)}
        return found >= {f"{folder}/{ARTIFACTS}{suffix}" for suffix in LARGEST}

    def upload(self, client: "MlflowClient", run_id: str, folder: Path) -> None:
        """Upload the files of a run's folder; the tag is left to ``name``.

        Raises:
            FileNotFoundError: the folder does not have this checkpoint any more.
            DamagedError: it is not two files.
            Exception: of any other type, if they cannot be stored.
        """
        outbox = Outbox(folder)
        place = outbox.place(ARTIFACTS)
        source = checkpoint_path(folder, self.epoch)
        shutil.rmtree(place, ignore_errors=True)
        try:
            for suffix in LARGEST:  # linked, as training removes old ones
                link = place / f"{ARTIFACTS}{suffix}"
                outbox.make_way(link)
                os.link(source.with_suffix(suffix), link)
            outbox.find(ARTIFACTS)  # what anyone may have put there is not uploaded
            client.log_artifacts(run_id, str(place), f"{ARTIFACTS}/{self.place}")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def name(self, client: "MlflowClient", run_id: str) -> None:
        """Make it the one from which the run is resumed elsewhere."""
        client.set_tag(run_id, TAG, str(self))

    def download(self, artifacts: "ArtifactRepository", folder: Path) -> None:
        """Download it into a run's folder; whether it is sound is seen when it is read.

        Args:
            artifacts: of the run.

        Raises:
            Exception: of any type, if it cannot be downloaded.
        """
        target = checkpoint_path(folder, self.epoch)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            for suffix, largest in LARGEST.items():
                path = f"{ARTIFACTS}/{self.place}/{ARTIFACTS}{suffix}"
                with downloading(largest):
                    file = Path(artifacts.download_artifacts(path, made))
                if file.is_symlink() or not file.is_file():
                    raise FileNotFoundError(f"{path}: no such file")
                target.parent.mkdir(exist_ok=True)
                os.replace(file, target.with_suffix(suffix))
        files.sync_tree(target.parent, within=folder)


def artifacts_of(client: "MlflowClient", run: "Run") -> "ArtifactRepository":
    """A run's own artifacts; MLflow's client would look for a model of the same name as well."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)


def remove_checkpoints(client: "MlflowClient", run_id: str, *, unnamed: bool = False) -> None:
    """Remove the checkpoints of a run that has ended; what may not be deleted stays.

    Args:
        unnamed: also such that no tag names.
    """
    with suppress(Exception):
        run = client.get_run(run_id)
        if TAG in run.data.tags:
            client.delete_tag(run_id, TAG)
        if TAG in run.data.tags or unnamed:
            artifacts_of(client, run).delete_artifacts(ARTIFACTS)
