"""A run that is being written."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fae.runtime import files
from fae.runtime.console import warn
from fae.runtime.signals import defer_signals
from fae.tracking.checkpoint_worker import CheckpointWorker
from fae.tracking.delivery import UploadWorker, shutdown_wait_s
from fae.tracking.folder import sync_command
from fae.tracking.journal import Entry, Journal
from fae.tracking.liveness import SupersededError
from fae.tracking.outbox import DamagedError, Outbox

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.nn import Module

BESIDE_WEIGHTS = 10_000_000
"""Bytes that a model needs in addition to its weights, at most."""
LOADER = Path(__file__).with_name("fae_reconstruction.py")
"""Stored with a model, for loading it."""


class Run:
    """A run that is being written: to its journal, and from there to the store.

    A resumed run does not log again what it logged before (a metric of a step, a picture, a file,
    the model).

    Attributes:
        id: MLflow's id of the run.
        name: of the run.
        folder: of the run's files.
        left_out: files that could not be written.
        is_unfinished: whether it ends KILLED, as something is left for the same command to do.
        lacking: once the run has ended: what is not in the store, and how to upload it.
    """

    def __init__(
        self,
        run_id: str,
        name: str,
        folder: Path,
        journal: Journal,
        worker: UploadWorker,
        checkpoints: CheckpointWorker | None = None,
    ) -> None:
        self.id = run_id
        self.name = name
        self.folder = folder
        self.left_out: list[str] = []
        self.is_unfinished = False
        self.lacking = ""
        self._journal = journal
        self._worker = worker
        self._checkpoints = checkpoints
        self._logged = {key for entry in journal.entries for key in _identities(entry)}

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Log the settings by which runs are compared."""
        self._append({"parameters": {key: str(value) for key, value in parameters.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the metrics of a step, in one transaction.

        Raises:
            SupersededError: another process has taken the run over.
        """
        if self._worker.superseded:
            raise SupersededError(
                f"{self.name}: another process has taken it over, as it gave no sign of life for "
                "too long (tracking.silence_s)"
            )
        new = {key: value for key, value in metrics.items() if (key, step) not in self._logged}
        if new:
            self._append({"metrics": new, "step": step, "time": _now()})

    def log_data(self, name: str, digest: str, source: str, sizes: Mapping[str, int]) -> None:
        """Log the data set that the run is trained on."""
        about = {"name": name, "digest": digest, "source": source, "sizes": dict(sizes)}
        self._append({"data": about})

    def log_text(self, text: str, path: str) -> None:
        """Log a text file as an artifact."""
        self._send("file", path, lambda place: place.write_text(text, encoding="utf-8"))

    def log_figure(self, figure: "Figure", path: str) -> None:
        """Log a figure as an artifact."""
        self._send("file", path, lambda place: figure.savefig(place, dpi=130))

    def log_image(self, image: NDArray[np.uint8], key: str, step: int) -> None:
        """Log a picture (height, width), which the UI shows under ``key`` with a slider."""
        from PIL import Image

        path, picture = f"pictures/{key}-{step}.png", Image.fromarray(image)
        self._send("picture", path, picture.save, key=key, step=step, time=_now())

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set several tags in one transaction."""
        self._append({"tags": dict(tags)})

    def set_note(self, text: str) -> None:
        """Describe the run on its page, in Markdown."""
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        self.set_tags({MLFLOW_RUN_NOTE: text})

    def log_model(self, network: "Module", example: NDArray[np.float32], step: int) -> None:
        """Log a network that ``mlflow.pyfunc.load_model`` loads without this package.

        Args:
            network: in evaluation mode, on the CPU.
            example: (batch, pixels), a batch of 2 or more, so that any batch size works.
            step: epochs completed.
        """

        def save(place: Path) -> None:
            _check_room(place.parent, network)
            with tempfile.TemporaryDirectory(dir=place.parent) as made:
                _save_model(Path(made, "model"), self.id, network, example)
                shutil.rmtree(place, ignore_errors=True)  # of a killed process
                Path(made, "model").rename(place)

        self._send("model", "model", save, run=self.name, step=step)

    def bytes_used(self) -> int:
        """Bytes of the run so far: what is uploaded, and its checkpoints."""
        sent: int = sum(entry.get("bytes", 0) for entry in self._journal.entries)
        return sent + _size(self.folder / "checkpoints")

    def end(self, status: str, cause: str, store: str) -> None:
        """End the run, upload the rest of its entries, and say in ``lacking`` what is not stored.

        Args:
            status: FINISHED, FAILED or KILLED; KILLED waits for a short time only.
            cause: of a failure, human-readable.
            store: its address.
        """
        if cause:
            self.set_tags({"fae.error": cause})
        if self._checkpoints:  # first: who sees that the run has ended may resume it at once
            self._checkpoints.close(may_resume=status == "KILLED", patience_s=shutdown_wait_s())
        self._append({"end": status, "time": _now()})
        self._journal.close(may_resume=status == "KILLED")
        stored = self._worker.close(hurry=status == "KILLED")
        self.lacking = self._what_lacks(stored, store)

    def _what_lacks(self, stored: bool, store: str) -> str:
        if self._worker.superseded:
            return f"{self.name}: what this process computed is kept in {self.folder}"
        damaged, missing = "; ".join(self._worker.lost), ", ".join(self.left_out)
        if not missing and self._journal.unsaved and self._journal.lacking:
            missing = "its last entries"
        if stored and damaged:
            return f"{self.name}: damaged, and left out of the store: {damaged}"
        if missing:
            return (
                f"{self.name}: {self.folder} is missing {missing}, which could not be written; "
                "make room there, and repeat the command"
            )
        if not stored:
            return (
                f"{self.name}: not completely in the store; the rest is kept in {self.folder}; "
                f"{sync_command(self.folder, store)} uploads it"
            )
        return ""

    def _send(self, kind: str, path: str, write: Callable[[Path], object], **more: object) -> None:
        """Write a file to the outbox, and append its entry.

        A file that cannot be written, as on a full disk, is left out with a warning.
        """
        if self._is_logged({kind: path, **more}):
            return
        outbox = Outbox(self.folder)
        place = outbox.place(path)
        try:
            outbox.make_way(place)
            write(place)
            files.sync_tree(place, within=self.folder)
        except (OSError, DamagedError) as problem:
            with suppress(OSError):
                place.unlink()
            self.left_out.append(path)
            reason = getattr(problem, "strerror", None) or problem
            warn(f"{place}: cannot be written ({reason}); it is left out")
        else:
            self._append({kind: path, "bytes": _size(place), **more})

    def _is_logged(self, entry: Entry) -> bool:
        identities = _identities(entry)
        return bool(identities) and self._logged.issuperset(identities)

    def _append(self, entry: Entry) -> None:
        if self._is_logged(entry):
            return
        with defer_signals():
            self._journal.append(entry)
            self._logged.update(_identities(entry))


def _identities(entry: Entry) -> list[Any]:
    """Keys by which an entry is deduplicated."""
    if "metrics" in entry:
        return [(key, entry["step"]) for key in entry["metrics"]]
    if "picture" in entry:
        return [("picture", entry["key"], entry["step"])]
    if "file" in entry:
        return [entry["file"]]
    return [key for key in ("parameters", "data", "model") if key in entry]


def _save_model(place: Path, run_id: str, network: "Module", example: NDArray[np.float32]) -> None:
    """Write a folder with a model of MLflow.

    ``mlflow.pytorch.log_model`` writes to the global store of the process instead.
    """
    import torch
    from mlflow import pyfunc
    from mlflow.models import Model, infer_signature
    from mlflow.models.model import MLMODEL_FILE_NAME
    from mlflow.pytorch import save_model

    with torch.inference_mode():
        output = network(torch.from_numpy(example)).numpy()
    model = Model(run_id=run_id, metadata={"pixels": example.shape[1]})
    save_model(
        network,
        place,
        mlflow_model=model,
        signature=infer_signature(example, output),
        input_example=example,
        pip_requirements=[f"torch=={version('torch')}"],
        code_paths=[str(LOADER)],
    )
    model.signature = None  # or MLflow accepts a single type only
    pyfunc.add_to_model(
        model,
        loader_module=LOADER.stem,
        data="data",
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )
    model.save(str(place / MLMODEL_FILE_NAME))


def _check_room(folder: Path, network: "Module") -> None:
    """Check that there is room for a model, as torch ends the process on a full disk.

    Raises:
        OSError: there is not enough.
    """
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    if shutil.disk_usage(folder).free < 2 * weights + BESIDE_WEIGHTS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def _now() -> int:
    return int(time.time() * 1000)
