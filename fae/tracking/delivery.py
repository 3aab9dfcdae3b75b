"""From a run's journal to the store: in order, and again until the store takes it."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tenacity import RetryCallState, RetryError, Retrying, wait_random_exponential

from fae.terminal import say, warn
from fae.tracking.journal import Entry, Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

OUTBOX = "outbox"
"""Folder of a run's folder: the files that its journal names."""
TOGETHER_S = 1.0
"""What is said within this time is stored together."""
PATIENCE_S = 3.0
"""How long the end of a run waits for a store that does not take what is left."""
BATCH = 1000
"""Metrics of one request, at most; MLflow's limit."""


class Delivery:
    """Stores entries one after the other. Storing one again changes nothing but pictures.

    Args:
        client: of the store.
        experiment_id, run_id: where to.
        folder: the run's.
    """

    def __init__(
        self, client: "MlflowClient", experiment_id: str, run_id: str, folder: Path
    ) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.outbox = folder / OUTBOX

    def deliver(self, entries: Sequence[Entry]) -> int:
        """Store the first entry, and those after it that go along; how many these are."""
        first = entries[0]
        if "metrics" in first:
            return self._metrics(entries)
        if "tags" in first:
            self._tags(first)
        elif "parameters" in first:
            self._parameters(first)
        elif "data" in first:
            self._data(first)
        elif "file" in first:
            self._file(first)
        elif "picture" in first:
            self._picture(first)
        elif "model" in first:
            self._model(first)
        else:
            self.client.set_terminated(self.run_id, first["end"], first["time"])
        return 1

    def _metrics(self, entries: Sequence[Entry]) -> int:
        """Store all metrics at the head, as many as go into one transaction."""
        from mlflow.entities import Metric

        batch: list[Metric] = []
        count = 0
        for entry in entries:
            said = entry.get("metrics")
            if said is None or len(batch) + len(said) > BATCH:
                break
            batch += [
                Metric(key, value, entry["time"], entry["step"]) for key, value in said.items()
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

        said = entry["data"]
        source, sizes = json.dumps({"uri": said["source"]}), json.dumps(said["sizes"])
        data = Dataset(said["name"], said["digest"], "local", source, None, sizes)
        self.client.log_inputs(
            self.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        )

    def _file(self, entry: Entry) -> None:
        file = self.outbox / entry["file"]
        if file.exists():  # otherwise it was stored, and the crash came before that was noted
            folder = str(Path(entry["file"]).parent)
            self.client.log_artifact(self.run_id, str(file), None if folder == "." else folder)
            file.unlink()

    def _picture(self, entry: Entry) -> None:
        from PIL import Image

        file = self.outbox / entry["picture"]
        if file.exists():
            with Image.open(file) as picture:
                self.client.log_image(
                    self.run_id,
                    picture,
                    key=entry["key"],
                    step=entry["step"],
                    timestamp=entry["time"],
                )
            file.unlink()

    def _model(self, entry: Entry) -> None:
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model

        folder = self.outbox / entry["model"]
        if not folder.exists():
            return
        model = self.client.create_logged_model(
            self.experiment_id, "model", source_run_id=self.run_id, tags={"fae.run": entry["run"]}
        )
        described = Model.load(folder)
        described.model_id = model.model_id
        described.save(folder / "MLmodel")
        self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, entry["step"])])
        shutil.rmtree(folder)


class Courier:
    """Delivers a journal in a thread of its own, so that training never waits for the store.

    A store that does not take an entry is asked again, ever less often.

    Args:
        journal: what is delivered, and where that is noted.
        deliver: stores the first of some entries, and says how many it stored.
    """

    def __init__(self, journal: Journal, deliver: Callable[[Sequence[Entry]], int]) -> None:
        self.journal = journal
        self._deliver = deliver
        self._news = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._away = False
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Say that the journal has more."""
        self._news.set()

    def close(self, *, hurry: bool = False) -> bool:
        """Deliver what is left; whether all is.

        Args:
            hurry: wait for ``PATIENCE_S`` at most, and not only where the store is away.
        """
        self._deadline = time.monotonic() + PATIENCE_S
        self._closing.set()
        self._news.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            if (self._away or hurry) and time.monotonic() > self._deadline:
                break
        return not self.journal.pending()

    def _run(self) -> None:
        retrying = Retrying(
            wait=wait_random_exponential(multiplier=0.5, max=30),
            stop=lambda _: self._closing.is_set() and time.monotonic() > self._deadline,
            sleep=lambda seconds: time.sleep(0.2) if self._closing.wait(seconds) else None,
            before_sleep=self._say_away,
        )
        with suppress(RetryError):
            while not self._closing.is_set() or self.journal.pending():
                self._news.wait()
                self._news.clear()
                self._closing.wait(TOGETHER_S)
                while pending := self.journal.pending():
                    self.journal.mark_delivered(retrying(self._deliver, pending))
                    self._say_back()

    def _say_away(self, state: RetryCallState) -> None:
        if not self._away and state.outcome:
            self._away = True
            reason = str(state.outcome.exception()).partition("\n")[0]
            warn(f"the store does not answer ({reason}); training goes on, and it gets all later")

    def _say_back(self) -> None:
        if self._away:
            self._away = False
            say("the store is back")
