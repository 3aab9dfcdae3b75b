"""Checkpoints that survive: written durably, checked before use, the newest two and the best kept.

A checkpoint is ``checkpoints/epoch=12.ckpt`` in the run's folder, and beside it is a
``epoch=12.json`` with its SHA-256, the run's fingerprint and the versions that wrote it.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from fae import durable
from fae.errors import CheckpointError
from fae.terminal import warn

KEPT = 2
NEEDED = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "epoch"}


class Checkpoints(Checkpoint):
    """Saves each epoch; of the epochs saved, the newest two and the best by ``val/mse`` stay.

    A save that fails, as on a full disk, is a warning; the next epoch tries again.

    Attributes:
        best_epoch: the first epoch, from 1, with the least ``val/mse`` so far; 0 before any.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best_epoch = 0
        self._least = float("inf")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        error = float(trainer.callback_metrics["val/mse"])
        if error < self._least:
            self.best_epoch, self._least = epoch, error
        try:
            trainer.save_checkpoint(checkpoint_path(self.folder, epoch), weights_only=False)
        except OSError as problem:
            warn(
                f"epoch {epoch} could not be saved ({problem.strerror or problem}); training goes "
                "on, and the next epoch tries again"
            )
        else:
            self._remove_others(epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "least": self._least}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_epoch, self._least = state_dict["best_epoch"], state_dict["least"]

    def _remove_others(self, epoch: int) -> None:
        saved = saved_epochs(self.folder)
        kept = {*[number for number in saved if number <= epoch][:KEPT], self.best_epoch}
        for number in saved:
            if number not in kept:
                path = checkpoint_path(self.folder, number)
                with suppress(OSError):
                    path.unlink()
                    _beside(path).unlink(missing_ok=True)


class DurableCheckpointIO(CheckpointIO):
    """How Lightning's Trainer writes and reads a checkpoint: whole or not at all.

    Args:
        fingerprint: of the run; a checkpoint of another one is refused.
    """

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint and what it is checked by.

        Raises:
            OSError: it could not be written.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getbuffer()
        about = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "fingerprint": self.fingerprint,
            "torch": torch.__version__,
            "lightning": version("pytorch-lightning"),
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # First: a checkpoint is never there without it.
        durable.write(_beside(path), json.dumps(about, indent=2).encode() + b"\n")
        durable.write(path, content)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; no code in it is run, whatever ``weights_only`` says.

        Raises:
            CheckpointError: it is damaged, not of this run, or not a checkpoint.
        """
        try:
            return read(Path(path), self.fingerprint, map_location)
        except CheckpointError as problem:
            raise CheckpointError(f"{path}: {problem}") from problem

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Where a run's folder holds the checkpoint of an epoch, from 1."""
    return folder / "checkpoints" / f"epoch={epoch}.ckpt"


def saved_epochs(folder: Path) -> list[int]:
    """The epochs that a run's folder holds, sound or not, newest first."""
    names = (path.name for path in (folder / "checkpoints").glob("epoch=*.ckpt"))
    return sorted(
        (int(found[1]) for name in names if (found := re.fullmatch(r"epoch=(\d+)\.ckpt", name))),
        reverse=True,
    )


def resume_point(folder: Path, fingerprint: str, learner: pl.LightningModule) -> Path | None:
    """The newest checkpoint from which a run can go on; None where it has to start over.

    Damaged ones are passed over with a warning.

    Args:
        learner: as the run begins; the checkpoint's keys and shapes must be those of its own.
    """
    for epoch in saved_epochs(folder):
        path = checkpoint_path(folder, epoch)
        try:
            checkpoint = read(path, fingerprint)
            check_fits(checkpoint, learner)
            best = checkpoint["callbacks"]["Checkpoints"]["best_epoch"]
            if best != epoch:
                read(checkpoint_path(folder, best), fingerprint)
        except CheckpointError as problem:
            warn(f"{path}: {problem}; going back to the one before")
            continue
        return path
    return None


def read(path: Path, fingerprint: str, map_location: Any = None) -> dict[str, Any]:
    """A checkpoint, once it is known to be what was written.

    Runs no code of the file's, and takes memory in proportion to its size.

    Raises:
        CheckpointError: it is damaged, not of this run, or not a checkpoint.
    """
    try:
        content = path.read_bytes()
        about = json.loads(_beside(path).read_bytes())
        if about["sha256"] != hashlib.sha256(content).hexdigest():
            raise CheckpointError("damaged, it is not what was written")
        if about["fingerprint"] != fingerprint:
            raise CheckpointError(f"of another run ({about['fingerprint']})")
        with zipfile.ZipFile(io.BytesIO(content)) as records:
            packed = [r for r in records.infolist() if r.compress_type != zipfile.ZIP_STORED]
            unpacked = sum(record.file_size for record in records.infolist())
        if packed or unpacked > len(content):
            raise CheckpointError("would unpack to more than it is")
        checkpoint = torch.load(io.BytesIO(content), map_location, weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a file of any content makes of its readers
        raise CheckpointError(f"not a checkpoint ({type(error).__name__})") from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= NEEDED:
        raise CheckpointError("not a checkpoint of a run")
    return checkpoint


def check_fits(checkpoint: Mapping[str, Any], learner: pl.LightningModule) -> None:
    """Make sure that weights and optimizer state are for this very network.

    Raises:
        CheckpointError: names what is otherwise.
    """
    wanted = {key: value.shape for key, value in learner.state_dict().items()}
    found = {key: getattr(value, "shape", None) for key, value in checkpoint["state_dict"].items()}
    if found != wanted:
        raise CheckpointError(f"its weights are {found}, not {wanted}")
    shapes = [parameter.shape for parameter in learner.parameters()]
    for state in (s for o in checkpoint["optimizer_states"] for s in o["state"].items()):
        number, values = state
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape not in {shapes[number], ()}:
                raise CheckpointError(
                    f"its optimizer's {name} of parameter {number} is {value.shape}"
                )


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")
