"""Stores the entries of a run in MLflow, each kind in its own way."""

import json
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fae.errors import first_line
from fae.runtime import files
from fae.tracking.checkpoints import remove_checkpoints
from fae.tracking.claim import settings
from fae.tracking.journal import BATCH, Entry
from fae.tracking.outbox import DamagedError, Outbox

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

PREVIEW = 204
"""Pixels, at most, of the width and height of the preview in the UI: on a page of 1440 pixels the
view of a sweep shows two beside each other, even with MLflow's side pane open."""
TRIES = 5
"""Failures after which an entry counts as rejected by a store that is reachable."""
AGAIN_S = 0.2
"""Seconds after which such a store is tried again; they double with each failure."""
CODES = "errno", "error_code"
"""Attributes of errors of the system and of MLflow that tell the reason."""


class RejectedError(Exception):
    """The store is reachable, but rejects an entry: repeatedly, or others for the same reason."""


class DeletedError(Exception):
    """The run or its experiment was deleted in the store; the message says how to restore it."""


class Uploader:
    """Stores entries one after the other; storing one again changes nothing.

    Args:
        client: of the store.
        run_id, folder: of the run.
        resumed: the run was resumed in another folder, where everything except metrics was logged
            again; only metrics are stored from this one.
    """

    def __init__(
        self, client: "MlflowClient", run_id: str, folder: Path, *, resumed: bool = False
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.resumed = resumed
        self.folder = folder
        self.outbox = Outbox(folder)
        self._refusals: set[object] = set()

    def deliver(self, entries: Sequence[Entry]) -> int:
        """Store the first entry, and those after it that fit in one request; returns their number.

        Raises:
            RejectedError: the store is reachable, but rejects the first entry.
            DeletedError: the run must be restored first.
            DamagedError: the first entry names a damaged file.
            Exception: of any other type, if the store is not reachable.
        """
        failures = 0
        while True:
            try:
                return self._deliver(entries[:1] if failures else entries)
            except DamagedError:
                raise
            except Exception as error:
                check_not_deleted(self.client, self.run_id)
                failures += 1
                reason = type(error), *(getattr(error, code, None) for code in CODES)
                if failures == TRIES or reason in self._refusals:
                    self._refusals.add(reason)
                    raise RejectedError(first_line(error)) from error
                time.sleep(AGAIN_S * 2 ** (failures - 1))

    def _deliver(self, entries: Sequence[Entry]) -> int:
        if "metrics" in entries[0]:
            return self._metrics(entries)
        is_former_end = "end" in entries[0] and len(entries) > 1
        if not self.resumed and not is_former_end:
            self._other(entries[0])
        return 1

    def _metrics(self, entries: Sequence[Entry]) -> int:
        """Store the metrics at the head, as many as fit in one transaction."""
        from mlflow.entities import Metric

        batch: list[Metric] = []
        count = 0
        for entry in entries:
            metrics = entry.get("metrics")
            if metrics is None or len(batch) + len(metrics) > BATCH:
                break
            batch += [
                Metric(key, value, entry["time"], entry["step"]) for key, value in metrics.items()
            ]
            count += 1
        self.client.log_batch(self.run_id, metrics=batch)
        return count

    def _other(self, entry: Entry) -> None:
        """Store any other entry; a file that is not in the outbox was stored before a crash."""
        from mlflow.entities import Param, RunTag

        match entry:
            case {"tags": tags}:
                self.client.log_batch(self.run_id, tags=[RunTag(*tag) for tag in tags.items()])
            case {"parameters": values}:
                params = [Param(key, value) for key, value in values.items()]
                self.client.log_batch(self.run_id, params=params)
            case {"data": about}:
                self._data(about)
            case {"file": path} if file := self.outbox.find(path):
                folder = str(Path(path).parent)
                self.client.log_artifact(self.run_id, str(file), None if folder == "." else folder)
                file.unlink()
            case {"picture": path} if file := self.outbox.find(path):
                self._picture(file, entry["key"], entry["step"], entry["time"])
                file.unlink()
            case {"model": path} if place := self.outbox.find(path):
                self._model(place, entry["run"], entry["step"])
                shutil.rmtree(place, ignore_errors=True)
            case {"end": status}:
                self.client.set_terminated(self.run_id, status, entry["time"])
                if status != "KILLED":
                    remove_checkpoints(self.client, self.run_id)

    def _data(self, about: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source, sizes = json.dumps({"uri": about["source"]}), json.dumps(about["sizes"])
        data = Dataset(about["name"], about["digest"], "local", source, None, sizes)
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(self.run_id, [DatasetInput(data, tags)])

    def _picture(self, file: Path, key: str, step: int, moment: int) -> None:
        """Store a picture and a preview, under the names that the UI expects.

        Like ``MlflowClient.log_image``, which stores another copy if called again. The UI shows
        previews in the middle of a square of which it may cut the lower part off, so the picture
        is at the upper edge of a square preview.
        """
        from PIL import Image

        name = f"{key}+step+{step}+timestamp+{moment}"
        name += f"+{uuid.uuid5(uuid.UUID(self.run_id), name)}"
        with _reading(file):
            picture = Image.open(file)
            picture.load()
        with tempfile.TemporaryDirectory() as made:
            picture.save(Path(made, f"{name}.png"))
            picture.thumbnail((PREVIEW, PREVIEW))
            preview = Image.new("RGBA", (max(picture.size),) * 2)
            preview.paste(picture, ((preview.width - picture.width) // 2, 0))
            preview.save(Path(made, f"{name}+compressed.webp"))
            self.client.log_artifacts(self.run_id, made, "images")
        self.client.set_tag(self.run_id, "mlflow.loggedImages", True)

    def _model(self, folder: Path, name: str, step: int) -> None:
        """Store a model, with its settings, test error and data, and once more with its run.

        ``runs:/<run id>/model`` finds it there: a model goes by its own name elsewhere.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models.model import MLMODEL_FILE_NAME

        run = self.client.get_run(self.run_id)
        if run.outputs and run.outputs.model_outputs:
            return
        with _reading(folder):
            about = dict(yaml.safe_load((folder / MLMODEL_FILE_NAME).read_text()))
        experiment, own = run.info.experiment_id, f"source_run_id = '{self.run_id}'"
        made = [*self.client.search_logged_models([experiment], own)] or [
            self.client.create_logged_model(
                experiment,
                _model_name(run.data.params),
                source_run_id=self.run_id,
                tags={"fae.run": name},
                params=settings(run.data.params),
                model_type="auto-encoder",
            )
        ]
        model_id = about["model_id"] = made[0].model_id
        text = yaml.safe_dump(about, sort_keys=False)
        files.write(folder / MLMODEL_FILE_NAME, text.encode())
        self.client.log_artifacts(self.run_id, str(folder), "model")
        self.client.log_model_artifacts(model_id, str(folder))
        self._link_error(model_id, run.inputs.dataset_inputs if run.inputs else [])
        self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        self.client.log_outputs(self.run_id, [LoggedModelOutput(model_id, step)])

    def _link_error(self, model_id: str, inputs: "Sequence[DatasetInput]") -> None:
        """Link the run's test error, which is logged before the model, to the model."""
        from mlflow.entities import Metric

        data = {}
        if inputs:
            data = {
                "dataset_name": inputs[0].dataset.name,
                "dataset_digest": inputs[0].dataset.digest,
            }
        if errors := self.client.get_metric_history(self.run_id, "test/mse"):
            error = errors[-1]
            linked = Metric(
                error.key, error.value, error.timestamp, error.step, model_id=model_id, **data
            )
            self.client.log_batch(self.run_id, metrics=[linked])


def _model_name(parameters: Mapping[str, str]) -> str:
    """``autoencoder-64``, without the characters that MLflow does not accept in names."""
    parts = [parameters[key] for key in ("model", "hidden") if key in parameters]
    return re.sub(r"[/:.%\"']", "_", "-".join(parts)) or "model"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise DamagedError(f"{path}: cannot be read ({first_line(error)})") from error


def check_not_deleted(client: "MlflowClient", run_id: str) -> None:
    """Check that a run still exists in the store.

    Raises:
        DeletedError: the run or its experiment was deleted.
        Exception: of any other type, if the store is not reachable.
    """
    try:
        info = client.get_run(run_id).info
    except Exception as error:
        if is_unknown(error):
            raise DeletedError(f"run {run_id[:8]} is no longer there") from error
        raise
    experiment = client.get_experiment(info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        raise DeletedError(
            f"experiment {experiment.name} was deleted; mlflow experiments restore "
            f"--experiment-id {info.experiment_id} restores it"
        )
    if info.lifecycle_stage == "deleted":
        raise DeletedError(
            f"run {run_id[:8]} was deleted; mlflow runs restore --run-id {run_id} restores it"
        )


def is_unknown(error: BaseException | None) -> bool:
    """Whether a store has answered that something does not exist."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"
