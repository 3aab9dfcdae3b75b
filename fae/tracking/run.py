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
from fae.runtime.signals import held
from fae.tracking.delivery import Courier
from fae.tracking.journal import Entry, Journal
from fae.tracking.outbox import DamagedError, Outbox

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.nn import Module

BESIDE_WEIGHTS = 10_000_000
"""Bytes that a model takes beside its weights, at most."""
LOADER = Path(__file__).with_name("fae_reconstruction.py")
"""Goes with a model; what its users load it by."""


class Run:
    """A run that is being written: to its journal, and by a courier from there to the store.

    What it said before it was carried on (a metric of a step, a picture, its files, the
    model), it does not say again.

    Attributes:
        id: MLflow's id of the run.
        name: what it is called.
        folder: where its files lie.
        left_out: files that the disk did not take.
        lacking: once the run has ended: what the store lacks of it, and how it gets that.
    """

    def __init__(
        self, run_id: str, name: str, folder: Path, journal: Journal, courier: Courier
    ) -> None:
        self.id = run_id
        self.name = name
        self.folder = folder
        self.left_out: list[str] = []
        self.lacking = ""
        self._journal = journal
        self._courier = courier
        self._said = {said for entry in journal.entries for said in _identities(entry)}

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Write what people compare runs by."""
        if "parameters" not in self._said:
            self._say({"parameters": {key: str(value) for key, value in parameters.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of a step; they are stored in one transaction."""
        new = {key: value for key, value in metrics.items() if (key, step) not in self._said}
        if new:
            self._say({"metrics": new, "step": step, "time": _now()})

    def log_data(self, name: str, digest: str, source: str, sizes: Mapping[str, int]) -> None:
        """Name the data set that the run was trained on."""
        if "data" not in self._said:
            said = {"name": name, "digest": digest, "source": source, "sizes": dict(sizes)}
            self._say({"data": said})

    def log_text(self, text: str, path: str) -> None:
        """Write a text file among the run's artifacts."""
        if path not in self._said:
            self._send("file", path, lambda place: place.write_text(text, encoding="utf-8"))

    def log_figure(self, figure: "Figure", path: str) -> None:
        """Write a figure among the run's artifacts."""
        if path not in self._said:
            self._send("file", path, lambda place: figure.savefig(place, dpi=130))

    def log_image(self, image: NDArray[np.uint8], key: str, step: int) -> None:
        """Write a picture (height, width) that the UI shows under ``key`` with a slider."""
        from PIL import Image

        if ("picture", key, step) not in self._said:
            path, picture = f"pictures/{key}-{step}.png", Image.fromarray(image)
            self._send("picture", path, picture.save, key=key, step=step, time=_now())

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write several tags in one transaction."""
        self._say({"tags": dict(tags)})

    def log_model(self, network: "Module", example: NDArray[np.float32], step: int) -> None:
        """Log a network that ``mlflow.pyfunc.load_model`` gives back, without this package.

        Args:
            network: in evaluation mode, on the CPU.
            example: (batch, pixels), a batch of 2 or more, so that any batch size works.
            step: epochs completed.
        """
        import torch
        from mlflow import pyfunc
        from mlflow.models import Model, infer_signature
        from mlflow.models.model import MLMODEL_FILE_NAME
        from mlflow.pytorch import save_model

        if "model" in self._said:
            return
        with torch.inference_mode():
            output = network(torch.from_numpy(example)).numpy()

        def save(place: Path) -> None:
            _check_room(place.parent, network)
            with tempfile.TemporaryDirectory(dir=place.parent) as made:
                # mlflow.pytorch.log_model would write to the one store that the process names.
                model = Model(run_id=self.id)
                save_model(
                    network,
                    Path(made, "model"),
                    mlflow_model=model,
                    signature=infer_signature(example, output),
                    input_example=example,
                    pip_requirements=[f"torch=={version('torch')}"],
                    code_paths=[str(LOADER)],
                )
                model.signature = None  # which would refuse all but one type, before the loader
                pyfunc.add_to_model(
                    model,
                    loader_module=LOADER.stem,
                    data="data",
                    code="code",
                    conda_env="conda.yaml",
                    python_env="python_env.yaml",
                )
                model.save(str(Path(made, "model", MLMODEL_FILE_NAME)))
                shutil.rmtree(place, ignore_errors=True)  # a kill may have left one
                Path(made, "model").rename(place)

        self._send("model", "model", save, run=self.name, step=step)

    def bytes_used(self) -> int:
        """What the run takes on disks so far: what the store gets, and its checkpoints."""
        sent: int = sum(entry.get("bytes", 0) for entry in self._journal.entries)
        return sent + _size(self.folder / "checkpoints")

    def end(self, status: str, cause: str) -> bool:
        """Say how the run ended, and see everything into the store; whether all is there.

        Args:
            status: FINISHED, FAILED or KILLED; the last is in a hurry.
            cause: of a failure, for a person.
        """
        if cause:
            self.set_tags({"fae.error": cause})
        self._say({"end": status, "time": _now()})
        self._journal.close(may_go_on=status == "KILLED")
        return self._courier.close(hurry=status == "KILLED")

    @property
    def damaged(self) -> list[str]:
        """What was damaged in its folder before the store had it."""
        return self._courier.lost

    @property
    def lost(self) -> str:
        """What neither the disk nor the store has, so that it must be made again."""
        if self.left_out:
            return ", ".join(self.left_out)
        return "its last entries" if self._journal.unsaved and self._journal.lacking else ""

    def _send(self, kind: str, path: str, write: Callable[[Path], object], **more: object) -> None:
        """Write a file where it waits for the courier, and say so.

        One that cannot be written, as on a full disk, is left out with a warning.
        """
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
            self._say({kind: path, "bytes": _size(place), **more})

    def _say(self, entry: Entry) -> None:
        with held():
            self._journal.append(entry)
            self._said.update(_identities(entry))
            self._courier.notify()


def _identities(entry: Entry) -> list[Any]:
    """What of an entry is said once only."""
    if "metrics" in entry:
        return [(key, entry["step"]) for key in entry["metrics"]]
    if "picture" in entry:
        return [("picture", entry["key"], entry["step"])]
    if "file" in entry:
        return [entry["file"]]
    return [key for key in ("parameters", "data", "model") if key in entry]


def _check_room(folder: Path, network: "Module") -> None:
    """Make sure of the room for a model, as torch ends the process where it finds none.

    Raises:
        OSError: there is too little.
    """
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    if shutil.disk_usage(folder).free < 2 * weights + BESIDE_WEIGHTS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _now() -> int:
    return int(time.time() * 1000)
