"""Checkpoints that survive: written durably, checked before use, the newest two kept.

A checkpoint is ``checkpoints/epoch=12.ckpt`` in the run's folder, and beside it is a
``epoch=12.json`` with its SHA-256, the run's fingerprint and the versions that wrote it.
"""

import copy
import hashlib
import io
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from fae.errors import CheckpointError
from fae.runs.weights import load, parts
from fae.runtime import files
from fae.runtime.console import warn
from fae.training.learner import Learner

KEPT = 2
KEYS = {
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "state_dict": OrderedDict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
}
"""What Lightning saves of a run, nothing else."""


class Checkpoints(Checkpoint):
    """Saves each epoch; of the epochs saved, the newest two stay.

    A save that fails, as on a full disk, is a warning; each epoch tries again.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._failing = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        path = checkpoint_path(self.folder, epoch)
        try:
            trainer.save_checkpoint(path, weights_only=False)
        except OSError as problem:
            _remove(path)
            if not self._failing:
                warn(
                    f"epoch {epoch} could not be saved ({problem.strerror or problem}); training "
                    "continues, and each epoch tries again"
                )
            self._failing = True
        else:
            self._failing = False
            self._remove_others(epoch)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check what only the trainer knows: the state of its loops and of its callbacks.

        Raises:
            CheckpointError: names what is otherwise.
        """
        path = checkpoint_path(self.folder, checkpoint["epoch"] + 1)
        fit_loop = checkpoint["loops"].get("fit_loop")
        _check_like(fit_loop, trainer.fit_loop.state_dict(), f"{path}: fit_loop")
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            name = f"{path}: {callback.state_key}"
            found = checkpoint["callbacks"].get(callback.state_key, {})
            if type(found) is not dict:
                raise CheckpointError(f"{name} is {type(found).__name__}, not dict")
            for key, value in callback.state_dict().items():
                grows = isinstance(value, list) and isinstance(found.get(key), list)
                if value is not None and not grows:
                    _check_like(found.get(key), value, f"{name}[{key!r}]")

    def _remove_others(self, epoch: int) -> None:
        saved = saved_epochs(self.folder)
        kept = [number for number in saved if number <= epoch][:KEPT]
        for number in saved:
            if number not in kept:
                _remove(checkpoint_path(self.folder, number))


class DurableCheckpointIO(CheckpointIO):
    """Writes and reads checkpoints for Lightning's Trainer: whole or not at all.

    Args:
        fingerprints: of the run, in this version and in earlier ones; a checkpoint of another run
            is refused.
    """

    def __init__(self, *fingerprints: str) -> None:
        self.fingerprints = fingerprints

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
            "fingerprint": self.fingerprints[0],
            "torch": torch.__version__,
            "lightning": version("pytorch-lightning"),
        }
        path = Path(path)
        if not path.parent.exists():
            path.parent.mkdir()
            files.sync(path.parent.parent)
        # First: a checkpoint is never there without it.
        files.write(_beside(path), json.dumps(about, indent=2).encode() + b"\n")
        files.write(path, content)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; no code in it is run, whatever ``weights_only`` says.

        Its tensors are on the CPU, from where Lightning takes them.

        Raises:
            CheckpointError: names the file: it is damaged, not of this run, or not a checkpoint.
        """
        return read(Path(path), *self.fingerprints)

    def remove_checkpoint(self, path: Any) -> None:
        _remove(Path(path))


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


def resume_point(folder: Path, learner: Learner, *fingerprints: str) -> Path | None:
    """The newest checkpoint from which a run can be resumed; None if it has to start over.

    Damaged ones are skipped with a warning.

    Args:
        learner: as the run begins; the checkpoint's keys and shapes must be those of its own.
        fingerprints: as ``DurableCheckpointIO`` has them.
    """
    for epoch in saved_epochs(folder):
        path = checkpoint_path(folder, epoch)
        try:
            checkpoint = read(path, *fingerprints)
            check_fits(checkpoint, learner)
            if checkpoint["epoch"] + 1 != epoch:
                raise CheckpointError("not of the epoch in its name")
        except CheckpointError as problem:
            warn(f"epoch {epoch} cannot be used ({problem}); going back to the one before")
            continue
        return path
    return None


def read(path: Path, *fingerprints: str) -> dict[str, Any]:
    """A checkpoint, once it is known to be what was written: plain values and tensors.

    Runs no code of the file's, and takes memory in proportion to its size.

    Raises:
        CheckpointError: names the file: it is damaged, not of this run, or not a checkpoint.
    """
    try:
        content = path.read_bytes()
        about = json.loads(_beside(path).read_bytes())
        if about["sha256"] != hashlib.sha256(content).hexdigest():
            raise CheckpointError("damaged, it is not what was written")
        if about["fingerprint"] not in fingerprints:
            raise CheckpointError(f"of another run ({about['fingerprint']!r:.80})")
        checkpoint = load(content)
        if type(checkpoint) is not dict or {k: type(v) for k, v in checkpoint.items()} != KEYS:
            raise CheckpointError("not a checkpoint of a run")
    except CheckpointError as problem:
        raise CheckpointError(f"{path}: {problem}") from problem
    except Exception as error:  # whatever a file of any content makes of its readers
        raise CheckpointError(f"{path}: not a checkpoint ({type(error).__name__})") from error
    return checkpoint


def check_fits(checkpoint: Mapping[str, Any], learner: Learner) -> None:
    """Check that what was read is the state of this very network and its optimizer.

    Args:
        learner: as the run begins.

    Raises:
        CheckpointError: names what is otherwise.
    """
    twin = copy.deepcopy(learner)
    (optimizer,), schedules = twin.configure_optimizers()
    for parameter in twin.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # makes its state
    wanted = {
        "state_dict": learner.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict() for schedule in schedules],
    }
    for key, value in wanted.items():
        _check_like(checkpoint[key], value, key)


def _check_like(found: Any, wanted: Any, name: str) -> None:
    """Check that a plain value has the types, keys and shapes of another.

    Raises:
        CheckpointError: names what is otherwise.
    """
    theirs, ours = _form(found, name), _form(wanted, name)
    for part in [*ours, *theirs]:
        if theirs.get(part) != ours.get(part):
            raise CheckpointError(
                f"{part} is {theirs.get(part, 'missing')}, not {ours.get(part, 'there')}"
            )


def _form(value: Any, name: str) -> dict[str, str]:
    """The type or shape of a value and of all that it holds, by their names."""
    if isinstance(value, Tensor):
        return {name: f"{value.dtype} {tuple(value.shape)}"}
    form = {name: type(value).__name__}
    for key, part in parts(value):
        form |= _form(part, f"{name}[{key!r:.80}]")
    return form


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _beside(path).unlink(missing_ok=True)
