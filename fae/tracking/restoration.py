"""Fills a folder with what a store has of a run, which is resumed there as its own is not visible.

That is its checkpoint, and a journal with what it must not log again. The data set and the model
are left out of that, as storing them again changes nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import tenacity

from fae.runtime.console import warn
from fae.tracking.checkpoints import ARTIFACTS, StoredCheckpoint, artifacts_of
from fae.tracking.claim import settings
from fae.tracking.folder import remove_files
from fae.tracking.journal import Entry, Journal
from fae.tracking.stored_run import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

PICTURES = "images"
"""MLflow's folder for the pictures that its UI shows with a slider."""
PICTURE = re.compile(
    PICTURES + r"/(\w[\w.-]{0,199})\+step\+(\d{1,18})\+timestamp\+(\d{1,18})\+[^+]*\.png"
)
"""The path of a picture as ``Uploader`` stores it: key, step and time."""
OTHERS = {PICTURES, "model", ARTIFACTS}
"""Folders of artifacts that were not logged as files."""
PATIENCE_S = 60
"""How long a download of a checkpoint is tried again."""
OF_THE_SYSTEM = "system/"
"""Prefix of metrics that MLflow records itself."""


def restore(client: "MlflowClient", run: StoredRun, folder: Path) -> None:
    """Fill the folder of a run, in place of what an earlier attempt may have left there.

    If the store lacks the checkpoint, the run starts over, with a warning.

    Raises:
        Exception: of any type, if the store is not reachable, for as long as is waited for it.
    """
    remove_files(folder)
    found = client.get_run(run.id)  # its former process may have stored another one meanwhile
    artifacts, checkpoint = artifacts_of(client, found), StoredCheckpoint.of(found.data.tags)
    if checkpoint and checkpoint.is_there(artifacts):
        tenacity.Retrying(
            stop=tenacity.stop_after_delay(PATIENCE_S),
            wait=tenacity.wait_random_exponential(max=10),
            reraise=True,
        )(checkpoint.download, artifacts, folder)
    else:
        warn(f"{run.name}: its checkpoint is not in the store any more; it starts over")
    Journal(folder).append(
        {"parameters": settings(found.data.params)},
        *_files(artifacts),
        *_pictures(artifacts),
        *_metrics(client, found),
    )


def _files(artifacts: "ArtifactRepository") -> Iterator[Entry]:
    """What was logged as files, at the top or in a folder."""
    top = artifacts.list_artifacts()
    folders = [found.path for found in top if found.is_dir and found.path not in OTHERS]
    for found in [*top, *(file for path in folders for file in artifacts.list_artifacts(path))]:
        if not found.is_dir:
            yield {"file": found.path, "bytes": found.file_size or 0}


def _pictures(artifacts: "ArtifactRepository") -> Iterator[Entry]:
    for found in artifacts.list_artifacts(PICTURES):
        if named := PICTURE.fullmatch(found.path):
            key, step, moment = named[1], int(named[2]), int(named[3])
            about = {"picture": f"pictures/{key}-{step}.png", "bytes": found.file_size or 0}
            yield {**about, "key": key, "step": step, "time": moment}


def _metrics(client: "MlflowClient", run: "Run") -> Iterator[Entry]:
    """The metrics, those in one entry that were logged together."""
    together: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for key in run.data.metrics:
        if not key.startswith(OF_THE_SYSTEM):
            for point in client.get_metric_history(run.info.run_id, key):
                together[point.timestamp, point.step][key] = point.value
    for (moment, step), metrics in sorted(together.items()):
        yield {"metrics": metrics, "step": step, "time": moment}
