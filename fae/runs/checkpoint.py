"""Checkpoints that survive: written durably, checked before use, the newest two kept.

A checkpoint is ``checkpoints/epoch=12.safetensors`` in the run's folder, and beside it is a
``epoch=12.json`` with its SHA-256, the run's fingerprint and the versions that wrote it. Anyone may
write such files: reading one runs no code, takes memory in proportion to its size, and ends in a
checkpoint or in a CheckpointError.
"""

import copy
import hashlib
import json
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
from fae.runs import tensor_file
from fae.runtime import files
from fae.runtime.console import in_one_line, warn
from fae.tracking.checkpoints import checkpoint_path, saved_epochs
from fae.training.learner import Learner

KEPT = 2
LIGHTNING = version("pytorch-lightning")
LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")


class Checkpoints(Checkpoint):
    """Saves each epoch; of the epochs saved, the newest two stay.

    A save that fails, as on a full disk or for a schedule whose state cannot be written, is a
    warning; each epoch tries again.

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
        except (OSError, TypeError) as problem:
            _remove(path)
            if not self._failing:
                reason = getattr(problem, "strerror", None) or problem
                warn(
                    f"epoch {epoch} could not be saved ({reason}); training continues, and each "
                    "epoch tries again"
                )
            self._failing = True
        else:
            self._failing = False
            self._remove_others(epoch)

    def _remove_others(self, epoch: int) -> None:
        """Remove all but the newest two, those of earlier versions of fae as well."""
        kept = [number for number in saved_epochs(self.folder) if number <= epoch][:KEPT]
        paths = [checkpoint_path(self.folder, number) for number in kept]
        for path in (self.folder / "checkpoints").glob("epoch=*"):
            if path not in paths and path not in map(_beside, paths):
                with suppress(OSError):
                    path.unlink()


class DurableCheckpointIO(CheckpointIO):
    """Writes and reads checkpoints for Lightning's Trainer: whole or not at all.

    Attributes:
        computed_by: what computed the epochs of the run, device and kernels, in turn; more than one
            where others resumed it.

    Args:
        fingerprint: of the run; a checkpoint of another run is refused.
    """

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.computed_by: list[str] = []

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint and what it is checked by.

        Raises:
            OSError: it could not be written.
        """
        content = tensor_file.dump(checkpoint)
        about = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "fingerprint": self.fingerprint,
            "torch": torch.__version__,
            "lightning": LIGHTNING,
            "computed_by": self.computed_by,
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
        return read(Path(path), self.fingerprint)

    def remove_checkpoint(self, path: Any) -> None:
        _remove(Path(path))


def resume_point(
    folder: Path, trainer: pl.Trainer, learner: Learner, fingerprint: str
) -> Path | None:
    """The newest checkpoint from which a run can be resumed; None if it has to start over.

    Damaged ones are skipped with a warning. Those of earlier versions of fae cannot be used.

    Args:
        trainer, learner: as the run begins.
        fingerprint: as ``DurableCheckpointIO`` has them.
    """
    for epoch in saved_epochs(folder):
        path = checkpoint_path(folder, epoch)
        try:
            checkpoint = read(path, fingerprint)
            check_fits(checkpoint, trainer, learner)
            if checkpoint["epoch"] + 1 != epoch:
                raise CheckpointError("not of the epoch in its name")
        except CheckpointError as problem:
            warn(f"epoch {epoch} cannot be used ({problem}); going back to the one before")
            continue
        return path
    if any((folder / "checkpoints").glob("epoch=*.ckpt")):
        warn(
            "checkpoints of an earlier version of fae are not read any more; the run starts over, "
            "with the same result"
        )
    return None


def read(path: Path, fingerprint: str) -> dict[str, Any]:
    """A checkpoint, once it is known to be what was written.

    Raises:
        CheckpointError: names the file: it is damaged, not of this run, or not a checkpoint.
    """
    try:
        content = path.read_bytes()
        about = json.loads(_beside(path).read_bytes())
        if about["sha256"] != hashlib.sha256(content).hexdigest():
            raise CheckpointError("damaged, it is not what was written")
        if about["fingerprint"] != fingerprint:
            raise CheckpointError(f"of another run ({about['fingerprint']!r:.80})")
        checkpoint: dict[str, Any] = tensor_file.load(content)
    except CheckpointError as problem:
        raise CheckpointError(f"{path}: {problem}") from problem
    except Exception as error:  # whatever a file of any content makes of its readers
        raise CheckpointError(f"{path}: not a checkpoint ({type(error).__name__})") from error
    return checkpoint


def computed_by(path: Path) -> list[str]:
    """What computed the epochs up to a checkpoint that was read, the newest twenty."""
    named = json.loads(_beside(path).read_bytes()).get("computed_by")
    devices = named[-20:] if isinstance(named, list) else []
    return [in_one_line(str(device))[:200] for device in devices]


def check_fits(checkpoint: dict[str, Any], trainer: pl.Trainer, learner: Learner) -> None:
    """Check that a checkpoint is the state of this very run, as the run itself saves it.

    By its fingerprint it is, unless somebody has forged it. Then torch's fused optimizers would
    write beyond the end of a tensor that is too small, and most else would end in a traceback.
    Numbers and texts, which may be any, are not checked.

    Args:
        trainer, learner: as the run begins.

    Raises:
        CheckpointError: it is not.
    """
    twin = copy.deepcopy(learner)
    (optimizer,), schedules = twin.configure_optimizers()
    for parameter in twin.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # makes its state
    callbacks = {
        callback.state_key: state
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if (state := callback.state_dict())
    }
    if stopping := trainer.early_stopping_callback:
        callbacks[stopping.state_key]["best_weights"] = dict(learner.state_dict())
    own = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "",
        "state_dict": learner.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict() for schedule in schedules],
        "loops": {name: getattr(trainer, name).state_dict() for name in LOOPS},
        "callbacks": callbacks,
    }
    if not _is_like(checkpoint, own) or _order(checkpoint) != _order(own):
        raise CheckpointError("not the state of such a run")


def _is_like(found: Any, own: Any) -> bool:
    """Whether a value has the types, keys and shapes of a run's own at its beginning.

    An empty list may have grown, and None may have become a text.
    """
    if isinstance(own, Tensor):
        return isinstance(found, Tensor) and (found.dtype, found.shape) == (own.dtype, own.shape)
    if own is None:
        return found is None or type(found) is str
    if type(found) is not type(own):
        return False
    if isinstance(own, dict):
        return found.keys() == own.keys() and all(_is_like(found[key], own[key]) for key in own)
    if isinstance(own, list | tuple) and own:
        return len(found) == len(own) and all(map(_is_like, found, own))
    return True


def _order(checkpoint: dict[str, Any]) -> list[list[int]]:
    """By which numbers the optimizer's parameters have their states."""
    return [group["params"] for group in checkpoint["optimizer_states"][0]["param_groups"]]


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _beside(path).unlink(missing_ok=True)
