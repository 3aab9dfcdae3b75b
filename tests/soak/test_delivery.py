"""What a run says and stores, cut short at any step of it, and said again."""

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NO_LOCAL, idle
from mlflow import MlflowClient
from mlflow.entities import FileInfo

from fae.cli.compose import compose
from fae.tracking.delivery import UploadWorker
from fae.tracking.journal import Journal
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.uploader import Uploader
from soak.conftest import Soak

CHANGES = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
"""Python's audit events of what changes files."""
ENDED = {"end": "FINISHED", "time": 1234567890123}


class Death(BaseException):
    """What a kill is to a test."""


class Mortal:
    """Dies at one of its steps: before it changes a file, when it has only emptied it, or before or
    after a call to the store. Once dead, it does nothing more.

    Args:
        folder: where changes of files count.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.steps = 0
        self.dies_at = 0
        self.thread = 0

    @contextmanager
    def living(self, dies_at: int) -> Iterator[None]:
        """Count the steps of this thread; the end comes after so many."""
        self.steps, self.dies_at, self.thread = 0, dies_at, threading.get_ident()
        try:
            yield
        finally:
            self.thread = 0

    def step(self, at_the_end: Callable[[], object] = lambda: None) -> None:
        """Another one, or the last: what still happens then."""
        if threading.get_ident() != self.thread:
            return
        self.steps += 1
        if self.steps == self.dies_at + 1:
            at_the_end()
        if self.steps > self.dies_at:
            raise Death

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See what Python is about to do to a file."""
        if event not in CHANGES:
            return
        path = str(arguments[0])
        if event != "open":
            if path.startswith(self.folder) or not os.path.isabs(path):  # as of shutil.rmtree
                self.step()
        elif path.startswith(self.folder) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.step()
            if arguments[2] & os.O_TRUNC:
                self.step(lambda: self._empty(path))

    def _empty(self, path: str) -> None:
        thread, self.thread = self.thread, 0
        Path(path).write_bytes(b"")
        self.thread = thread

    def calling(self, client: MlflowClient) -> Any:
        """The client, each call to which is two steps."""
        mortal = self

        class Calls:
            def __getattr__(self, name: str) -> Callable[..., Any]:
                def call(*arguments: Any, **named: Any) -> Any:
                    mortal.step()
                    answer = getattr(client, name)(*arguments, **named)
                    mortal.step()
                    return answer

                return call

        return Calls()


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as a run leaves it in its outbox; it takes a second to make."""
    folder = tmp_path_factory.mktemp("model")
    worker = UploadWorker(Journal(folder / "idle"), len, idle())
    run = Run("id", "first", folder, Journal(folder), worker)
    run.log_model(torch.nn.Linear(4, 4).eval(), np.zeros((2, 4), np.float32), step=2)
    worker.close()
    return folder / "outbox" / "model"


def live(folder: Path, delivery: Uploader) -> None:
    """Say what is not yet said, and store what is not yet stored."""
    worker = UploadWorker(Journal(folder / "idle"), len, idle())
    run = Run(delivery.run_id, "run", folder, Journal(folder), worker)
    run.log_parameters({"hidden": 4})
    run.log_data("synthetic", "digest", "here", {"train": 1})
    run.log_metrics({"a": 1.0}, step=1)
    run.log_text("hello", "greetings/english.txt")
    run.log_image(np.zeros((8, 600), np.uint8), "picture", step=1)
    run.log_metrics({"a": 2.0}, step=2)
    run.log_model(torch.nn.Identity(), np.zeros((2, 4), np.float32), step=2)
    run.set_tags({"tag": "set"})
    journal = Journal(folder)
    if "end" not in journal.entries[-1]:
        journal.append(ENDED)
    while pending := journal.pending():
        journal.mark_uploaded(delivery.deliver(pending))


def stored(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """All that the store has of a run, but for ids and times."""
    run = client.get_run(run_id)
    assert run.inputs
    assert run.outputs
    outputs = [output.model_id for output in run.outputs.model_outputs]
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    return {
        "run": (run.info.status, run.info.end_time, run.data.params, run.data.tags["tag"]),
        "data": [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs],
        "metrics": [(point.step, point.value) for point in client.get_metric_history(run_id, "a")],
        "files": sizes(partial(client.list_artifacts, run_id)),
        "models": [
            (
                model.status,
                model.model_id in outputs,
                sizes(partial(client.list_logged_model_artifacts, model.model_id)),
            )
            for model in models
        ],
    }


def sizes(
    contents: Callable[[str | None], list[FileInfo]], folder: str | None = None
) -> dict[str, int | None]:
    """Bytes of each artifact; names without the ids and moments in them."""
    found: dict[str, int | None] = {}
    for file in contents(folder):
        name = re.sub(r"\+timestamp\+\d+\+[\w-]{36}", "", file.path)
        assert name not in found
        found |= sizes(contents, file.path) if file.is_dir else {name: file.file_size}
    return found


def test_what_is_cut_short_at_any_step_and_said_again_is_stored_once(
    soak: Soak, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash at any change of a file or call to the store: all is stored, whole and once."""
    config = compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'")
    store = Store(config.tracking)
    client = MlflowClient(store.uri)
    mortal = Mortal(tmp_path)
    sys.addaudithook(mortal.audit)
    monkeypatch.setattr(
        "mlflow.pytorch.save_model", lambda _, place, **__: shutil.copytree(saved_model, place)
    )

    def life_in(folder: Path) -> Uploader:
        folder.mkdir()
        run_id = client.create_run(store.experiment_id).info.run_id
        return Uploader(mortal.calling(client), run_id, folder)

    undisturbed = life_in(tmp_path / "undisturbed")
    live(tmp_path / "undisturbed", undisturbed)
    wanted = stored(client, undisturbed.run_id)
    crashes = 0
    for dies_at in count(0, soak.times(short=20, whole=1)):
        folder = tmp_path / f"{dies_at}"
        delivery = life_in(folder)
        with mortal.living(dies_at), suppress(Death):
            live(folder, delivery)
            break
        crashes += 1
        live(folder, delivery)
        assert stored(client, delivery.run_id) == wanted, f"dies after {dies_at} steps"
    assert crashes > soak.times(short=5, whole=100)
    soak.tell(f"{crashes} crashes: all stored, whole and once")
