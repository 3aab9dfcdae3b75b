"""Uploads a run's journal to the store: in order, with retries."""

import json
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_not_exception_type,
    wait_random_exponential,
)

from fae.errors import first_line
from fae.runtime import files, signals
from fae.runtime.console import say, warn
from fae.tracking.journal import BATCH, Entry, Journal
from fae.tracking.outbox import DamagedError, Outbox

if TYPE_CHECKING:
    from mlflow import MlflowClient

FLUSH_INTERVAL_S = 1.0
"""Seconds between uploads: entries of this time are stored together."""
SHUTDOWN_WAIT_S = 3.0
"""Seconds that the end of a run waits for a store that is not reachable."""
MIN_SHUTDOWN_WAIT_S = 0.5
"""The least of these, if several runs are ended by one signal."""
SMALL = (256, 256)
"""Pixels, at most, of the preview in the UI."""
TRIES = 5
"""Failures after which an entry counts as rejected by a store that is reachable."""


class NotAcceptedError(Exception):
    """The store is reachable, but failed to accept an entry; a retry may succeed."""


class RejectedError(NotAcceptedError):
    """The store is reachable, but rejects an entry: repeatedly, or others for the same reason."""


class DeletedError(Exception):
    """The run or its experiment was deleted in the store; the message says how to restore it."""


class Uploader:
    """Stores entries one after the other; storing one again changes nothing.

    Args:
        client: of the store.
        experiment_id, run_id: of the run.
        folder: of the run.
    """

    def __init__(
        self, client: "MlflowClient", experiment_id: str, run_id: str, folder: Path
    ) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.outbox = Outbox(folder)
        self._failures = 0
        self._refusals: set[object] = set()

    def deliver(self, entries: Sequence[Entry]) -> int:
        """Store the first entry, and those after it that fit in one request; returns their number.

        Raises:
            NotAcceptedError, RejectedError: the store is reachable, but rejects the first entry.
            DeletedError: the run must be restored first.
            DamagedError: the first entry names a damaged file.
            Exception: of any other type, if the store is not reachable.
        """
        try:
            count = self._deliver(entries[:1] if self._failures else entries)
        except DamagedError:
            self._failures = 0
            raise
        except Exception as error:
            check_not_deleted(self.client, self.run_id)
            self._failures += 1
            kind = type(error), getattr(error, "errno", None), getattr(error, "error_code", None)
            refused = self._failures == TRIES or kind in self._refusals
            if refused:
                self._failures = 0
                self._refusals.add(kind)
            raise (RejectedError if refused else NotAcceptedError)(first_line(error)) from error
        self._failures = 0
        return count

    def _deliver(self, entries: Sequence[Entry]) -> int:
        if "metrics" in entries[0]:
            return self._metrics(entries)
        if "end" in entries[0] and len(entries) > 1:  # the run was resumed
            return 1
        self._other(entries[0])
        return 1

    def _other(self, entry: Entry) -> None:
        kinds = {
            "tags": self._tags,
            "parameters": self._parameters,
            "data": self._data,
            "file": self._file,
            "picture": self._picture,
            "model": self._model,
            "end": self._end,
        }
        for kind in kinds.keys() & entry.keys():
            kinds[kind](entry)

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

    def _tags(self, entry: Entry) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(key, value) for key, value in entry["tags"].items()]
        self.client.log_batch(self.run_id, tags=tags)

    def _parameters(self, entry: Entry) -> None:
        from mlflow.entities import Param

        parameters = [Param(key, str(value)) for key, value in entry["parameters"].items()]
        self.client.log_batch(self.run_id, params=parameters)

    def _data(self, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        about = entry["data"]
        source, sizes = json.dumps({"uri": about["source"]}), json.dumps(about["sizes"])
        data = Dataset(about["name"], about["digest"], "local", source, None, sizes)
        self.client.log_inputs(
            self.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        )

    def _file(self, entry: Entry) -> None:
        file = self.outbox.find(entry["file"])
        if file:  # otherwise it was stored before a crash
            folder = str(Path(entry["file"]).parent)
            self.client.log_artifact(self.run_id, str(file), None if folder == "." else folder)
            file.unlink()

    def _picture(self, entry: Entry) -> None:
        """Store a picture and a preview, under the names that the UI expects.

        Like ``MlflowClient.log_image``, which stores another copy if called again.
        """
        from PIL import Image

        file = self.outbox.find(entry["picture"])
        if file is None:
            return
        told = {"step": entry["step"], "timestamp": entry["time"]}
        name = "+".join([entry["key"], *(f"{key}+{value}" for key, value in told.items())])
        name += f"+{uuid.uuid5(uuid.UUID(self.run_id), name)}"
        with _reading(file):
            picture = Image.open(file)
            picture.load()
        with tempfile.TemporaryDirectory() as made:
            picture.save(Path(made, f"{name}.png"))
            picture.thumbnail(SMALL)
            picture.save(Path(made, f"{name}+compressed.webp"))
            self.client.log_artifacts(self.run_id, made, "images")
        self.client.set_tag(self.run_id, "mlflow.loggedImages", True)
        file.unlink()

    def _model(self, entry: Entry) -> None:
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models.model import MLMODEL_FILE_NAME

        folder = self.outbox.find(entry["model"])
        if folder is None:
            return
        outputs = self.client.get_run(self.run_id).outputs
        if not (outputs and outputs.model_outputs):
            with _reading(folder):
                about = dict(yaml.safe_load((folder / MLMODEL_FILE_NAME).read_text()))
            made = self.client.search_logged_models(
                [self.experiment_id], f"source_run_id = '{self.run_id}'"
            )
            model = (
                made[0]
                if made
                else self.client.create_logged_model(
                    self.experiment_id,
                    "model",
                    source_run_id=self.run_id,
                    tags={"fae.run": entry["run"]},
                )
            )
            about["model_id"] = model.model_id
            text = yaml.safe_dump(about, sort_keys=False)
            files.write(folder / MLMODEL_FILE_NAME, text.encode())
            self.client.log_model_artifacts(model.model_id, str(folder))
            self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
            output = LoggedModelOutput(model.model_id, entry["step"])
            self.client.log_outputs(self.run_id, [output])
        shutil.rmtree(folder, ignore_errors=True)

    def _end(self, entry: Entry) -> None:
        self.client.set_terminated(self.run_id, entry["end"], entry["time"])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise DamagedError(f"{path}: cannot be read ({first_line(error)})") from error


class UploadWorker:
    """Uploads a journal in a thread, so that training never waits for the store.

    Failed uploads are retried with growing pauses. A rejected entry is set aside, so that the
    others need not wait, and tried once more at the end.

    Attributes:
        lost: files that were damaged before their upload.

    Args:
        journal: of the run; notes what is uploaded.
        deliver: stores the first of some entries, and returns the number of stored ones.
    """

    def __init__(self, journal: Journal, deliver: Callable[[Sequence[Entry]], int]) -> None:
        self.journal = journal
        self._deliver = deliver
        self._news = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._away = False
        self._refused = False
        self.lost: list[str] = []
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Tell the thread that the journal has new entries."""
        self._news.set()

    def close(self, *, hurry: bool = False) -> bool:
        """Upload what is left; whether everything is in the store.

        Args:
            hurry: wait ``SHUTDOWN_WAIT_S`` at most, as if the store is not reachable or a signal
                has arrived; all runs that are ended by one signal share that time.
        """
        patience = max(MIN_SHUTDOWN_WAIT_S, SHUTDOWN_WAIT_S - signals.seconds_since())
        self._deadline = time.monotonic() + patience
        self._closing.set()
        self._news.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            in_a_hurry = hurry or self._away or signals.arrived()
            if in_a_hurry and self._is_late():
                break
        return not self.journal.lacking

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _run(self) -> None:
        retrying = Retrying(
            retry=retry_if_not_exception_type((DamagedError, RejectedError)),
            wait=wait_random_exponential(multiplier=0.5, max=30),
            stop=lambda _: self._away and self._closing.is_set() and self._is_late(),
            sleep=lambda seconds: time.sleep(0.2) if self._closing.wait(seconds) else None,
            before_sleep=self._say_away,
        )
        with suppress(RetryError):
            while not self._closing.is_set() or self.journal.pending():
                self._news.wait()
                self._news.clear()
                self._closing.wait(FLUSH_INTERVAL_S)
                while pending := self.journal.pending():
                    try:
                        self.journal.mark_uploaded(retrying(self._deliver, pending))
                    except DamagedError as problem:
                        self.journal.mark_uploaded(1)
                        self._warn_lost(str(problem))
                    except RejectedError as problem:
                        self.journal.set_aside()
                        self._say_refused(pending[0], str(problem))
                    else:
                        self._say_back()
            _, damaged = retry_rejected(self.journal, self._deliver)
            for loss in damaged:
                self._warn_lost(loss)

    def _warn_lost(self, problem: str) -> None:
        self.lost.append(problem)
        warn(f"{problem}; it is left out")

    def _say_refused(self, entry: Entry, reason: str) -> None:
        """Warn once; the end of the run says what is missing."""
        if not self._refused:
            self._refused = True
            warn(
                f"the store rejects {described(entry)} ({reason}); what it rejects is kept, all "
                "else is stored"
            )

    def _say_away(self, state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        if problem and not self._away and not isinstance(problem, NotAcceptedError):
            self._away = True
            reason = first_line(problem)
            state_of_it = (
                "accepts nothing" if isinstance(problem, DeletedError) else "is not reachable"
            )
            warn(f"the store {state_of_it} ({reason}); training continues; uploading later")

    def _say_back(self) -> None:
        if self._away:
            self._away = False
            say("the store is back")


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


def retry_rejected(
    journal: Journal, deliver: Callable[[Sequence[Entry]], int]
) -> tuple[str, list[str]]:
    """Try rejected entries once more.

    Returns:
        The reason of the last rejection, or nothing; and what was damaged meanwhile.
    """
    reason, lost = "", list[str]()
    for place in [*journal.aside]:
        try:
            deliver([journal.entries[place]])
        except DamagedError as problem:
            lost.append(str(problem))
            journal.forget_rejected(place)
        except Exception as error:  # it is still kept, and counted as lacking
            reason = first_line(error)
        else:
            journal.forget_rejected(place)
    return reason, lost


def described(entry: Entry) -> str:
    """An entry in a message: ``the file config.yaml``."""
    kind = next(iter(entry))
    named = {"file": "the file", "picture": "the picture", "model": "the"}
    return f"{named[kind]} {entry[kind]}" if kind in named else f"the run's {kind}"
