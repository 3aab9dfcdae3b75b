"""Checkpoints: a run is resumed from one as if nothing had happened, or from the one before."""

import functools
import hashlib
import io
import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
from conftest import NEEDS_GPU, NO_LOCAL
from torch.optim.lr_scheduler import CosineAnnealingLR

from fae.cli.compose import compose
from fae.config import Config
from fae.data.datamodule import ImageDataModule
from fae.errors import CheckpointError
from fae.runs.build import build
from fae.runs.checkpoint import (
    Checkpoints,
    DurableCheckpointIO,
    check_fits,
    computed_by,
    read,
    resume_point,
)
from fae.runs.history import History
from fae.tracking.checkpoints import checkpoint_path, saved_epochs
from fae.tracking.run import Run
from fae.training.denoising import Denoising
from fae.training.early_stopping import EarlyStopping
from fae.training.learner import Learner
from fae.training.overfitting import overfit_test
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]
FINGERPRINT = "1f" * 32
ONE_CYCLE = ["optimizer=adam", "lr=0.01", "optimizer.schedule=one_cycle", "dropout=0.3"]


OVERFIT = [
    *("trainer.overfit=0.98", "trainer.limit_batches=1", "batch_size=7"),
    *("optimizer=adam", "lr=0.01", "epochs=200"),
]


class Killed(BaseException):
    pass


class Kill(pl.Callback):
    """Ends a run in the midst of an epoch, when its weights have moved on."""

    def __init__(self, after_epochs: int | None) -> None:
        self.after_epochs = after_epochs

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.after_epochs:
            raise Killed


@dataclass
class Fitted:
    learner: Learner
    trainer: pl.Trainer
    history: History

    def state(self) -> dict[str, Any]:
        stopping = self.trainer.early_stopping_callback
        stopped = stopping.state_dict() if stopping else {}
        return {
            "weights": self.learner.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "epochs": self.history.epochs,
            "best": {key: stopped[key] for key in stopped if key.startswith("best")},
        }


def begun(
    config: Config,
    folder: Path,
    killed_after: int | None = None,
    checkpoint_io: DurableCheckpointIO | None = None,
) -> tuple[pl.Trainer, Learner, ImageDataModule, History]:
    """What a run has at its beginning."""
    data, learner = build(config, config.data.build())
    if config.data.noise:
        learner.network = Denoising(learner.network, config.data.noise)
    history = History(Mock(spec=Run), data, time.perf_counter())
    trainer = build_trainer(
        config.trainer,
        epochs=config.epochs,
        folder=folder,
        callbacks=[
            history,
            *overfit_test(data, config.trainer),
            Checkpoints(folder),
            Kill(killed_after),
        ],
        checkpoint_io=checkpoint_io or DurableCheckpointIO(FINGERPRINT),
    )
    return trainer, learner, data, history


def fit(
    config: Config,
    folder: Path,
    *,
    killed_after: int | None = None,
    checkpoint_io: DurableCheckpointIO | None = None,
) -> Fitted:
    """Train as ``fae.runs.run`` does, without the store, from where the folder's run is."""
    folder.mkdir(exist_ok=True)
    trainer, learner, data, history = begun(config, folder, killed_after, checkpoint_io)
    start = resume_point(folder, trainer, learner, FINGERPRINT)
    trainer.fit(learner, data, ckpt_path=start, weights_only=True)
    return Fitted(learner, trainer, history)


def start_of(config: Config, folder: Path) -> Path | None:
    """Where the run in a folder is resumed."""
    trainer, learner, *_ = begun(config, folder)
    return resume_point(folder, trainer, learner, FINGERPRINT)


def assert_identical(ours: object, theirs: object) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """The folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("finished")
    config = compose(NO_LOCAL, "experiment=smoke", "hidden=4", "optimizer.momentum=0.9")
    fit(config, folder)
    return folder, config


@pytest.fixture
def saved(finished: tuple[Path, Config], tmp_path: Path) -> tuple[Path, Config]:
    """A copy of that folder."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run", finished[1]


@pytest.mark.parametrize("epochs", [1, 2, 3])
@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer.momentum=0.9"],
        ONE_CYCLE,
        ["optimizer=adam", "lr=0.5", "trainer.early_stopping=2", "epochs=50"],
        OVERFIT,
        ["model=tied", "dropout=0.25"],
        ["model=variational", "data.noise=0.2"],
        pytest.param(["model=convolutional", "optimizer=adam"], marks=pytest.mark.long),
        pytest.param([*ONE_CYCLE, "trainer.accelerator=gpu"], marks=NEEDS_GPU),
    ],
    ids=[
        "momentum",
        "one_cycle",
        "early_stopping",
        "overfit",
        "tied",
        "variational",
        "convolutional",
        "gpu",
    ],
)
def test_a_resumed_run_is_the_uninterrupted_run_bit_for_bit(
    tiny: Tiny, tmp_path: Path, overrides: list[str], epochs: int
) -> None:
    config = tiny("epochs=4", *overrides)
    undisturbed = fit(config, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        fit(config, tmp_path / "killed", killed_after=epochs)
    assert saved_epochs(tmp_path / "killed")[0] == epochs
    assert_identical(fit(config, tmp_path / "killed").state(), undisturbed.state())


@pytest.mark.parametrize(
    "overrides", [[], ["lr=0.5", "trainer.early_stopping=2", "epochs=50"], OVERFIT]
)
def test_a_run_that_ended_before_its_test_trains_no_further(
    tiny: Tiny, tmp_path: Path, overrides: list[str]
) -> None:
    config = tiny("optimizer=adam", *overrides)
    ended = fit(config, tmp_path)
    again = fit(config, tmp_path)
    assert_identical(again.state(), ended.state())


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_what_a_run_saves_fits_it(
    tiny: Tiny, tmp_path: Path, optimizer: str, schedule: str
) -> None:
    config = tiny(f"optimizer={optimizer}", f"optimizer.schedule={schedule}", "epochs=1")
    fit(config, tmp_path)
    assert start_of(config, tmp_path) == checkpoint_path(tmp_path, 1)


def test_it_takes_no_random_number_and_leaves_the_learner_alone(
    saved: tuple[Path, Config],
) -> None:
    folder, config = saved
    trainer, learner, *_ = begun(config, folder)
    weights = {key: value.clone() for key, value in learner.state_dict().items()}
    state = torch.get_rng_state()
    assert resume_point(folder, trainer, learner, FINGERPRINT)
    assert torch.equal(torch.get_rng_state(), state)
    assert_identical(learner.state_dict(), weights)
    assert all(parameter.grad is None for parameter in learner.parameters())


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def of_another_run(path: Path) -> None:
    about = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(about | {"fingerprint": "other"}))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a flipped bit": (lambda path: flip(path, 8 * 1000 + 3), "not what was written"),
    "a lost byte": (truncate, "not what was written"),
    "empty": (lambda path: path.write_bytes(b""), "not what was written"),
    "nothing beside": (lambda path: path.with_suffix(".json").unlink(), "FileNotFoundError"),
    "a bit flipped beside": (lambda path: flip(path.with_suffix(".json"), 8 * 20), "damaged"),
    "another run": (of_another_run, "of another run"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_noticed_and_the_one_before_it_used(
    saved: tuple[Path, Config], damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, config = saved
    harm, why = DAMAGES[damage]
    harm(checkpoint_path(folder, 2))
    with pytest.raises(CheckpointError, match=why):
        read(checkpoint_path(folder, 2), FINGERPRINT)
    assert start_of(config, folder) == checkpoint_path(folder, 1)
    warning = capsys.readouterr().out
    assert warning.startswith(f"warning: epoch 2 cannot be used ({checkpoint_path(folder, 2)}: ")
    assert why in warning
    assert warning.endswith("going back to the one before\n")


@pytest.mark.parametrize(
    "overrides",
    [
        ["hidden=5"],
        ["optimizer=adam"],
        ["optimizer.momentum=0.9", "optimizer.schedule=cosine"],
        ["optimizer.momentum=0.9", "trainer.early_stopping=2"],
    ],
)
def test_one_of_another_network_is_passed_over(
    saved: tuple[Path, Config], tiny: Tiny, tmp_path: Path, overrides: list[str]
) -> None:
    folder, config = saved
    fit(tiny(*overrides), tmp_path / "other")
    other = read(checkpoint_path(tmp_path / "other", 2), FINGERPRINT)
    trainer, learner, *_ = begun(config, folder)
    with pytest.raises(CheckpointError, match="not the state of such a run"):
        check_fits(other, trainer, learner)
    DurableCheckpointIO(FINGERPRINT).save_checkpoint(other, checkpoint_path(folder, 2))
    assert start_of(config, folder) == checkpoint_path(folder, 1)


def test_a_run_without_a_usable_one_starts_over(
    saved: tuple[Path, Config], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, config = saved
    assert start_of(config, folder / "elsewhere") is None
    assert capsys.readouterr().out == ""
    for epoch in (1, 2):
        flip(checkpoint_path(folder, epoch), 0)
    assert start_of(config, folder) is None
    assert capsys.readouterr().out.count("going back to the one before") == 2


def test_a_run_with_checkpoints_of_an_earlier_version_starts_over(
    finished: tuple[Path, Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = finished
    (tmp_path / "checkpoints").mkdir()
    for epoch in (1, 2):
        path = checkpoint_path(tmp_path, epoch).with_suffix(".ckpt")
        torch.save({"epoch": epoch - 1}, path)
        path.with_suffix(".json").write_text(json.dumps({"fingerprint": FINGERPRINT}))
    fitted = fit(config, tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "warning: checkpoints of an earlier version of fae are not read any more; the run starts "
        "over, with the same result"
    ]
    assert len(fitted.history.epochs) == 2
    assert not [*tmp_path.glob("checkpoints/*.ckpt")]
    assert start_of(config, tmp_path) == checkpoint_path(tmp_path, 2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("loops",), None),
        (("loops", "fit_loop"), None),
        (("loops", "fit_loop", "state_dict"), 0),
        (("loops", "fit_loop", "epoch_progress", "current"), {}),
        (("callbacks", "History"), []),
        (("callbacks", "History", "epochs"), "none"),
        (("state_dict", "network.encoder.bias"), torch.zeros(3)),
        (("state_dict", "network.encoder.bias"), torch.zeros(4, dtype=torch.float64)),
        (("optimizer_states", 0, "state", 0, "momentum_buffer"), None),
        (("optimizer_states", 0, "param_groups", 0, "params"), [0, 1, 2]),
        (("optimizer_states", 0, "param_groups", 0, "params"), [1, 0, 2, 3]),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "0.1"),
        (("hyper_parameters",), {}),
        (("epoch",), 6),
    ],
)
def test_one_that_was_forged_is_passed_over(
    saved: tuple[Path, Config], where: tuple[Any, ...], value: object
) -> None:
    folder, config = saved
    path = checkpoint_path(folder, 2)
    newest = read(path, FINGERPRINT)
    functools.reduce(lambda part, key: part[key], where[:-1], newest)[where[-1]] = value
    DurableCheckpointIO(FINGERPRINT).save_checkpoint(newest, path)
    assert start_of(config, folder) == checkpoint_path(folder, 1)


@pytest.mark.parametrize("forged", [torch.zeros(3), None], ids=["another shape", "too much"])
def test_one_with_forged_best_weights_is_passed_over(
    tiny: Tiny, tmp_path: Path, forged: torch.Tensor | None
) -> None:
    config = tiny("epochs=2", "trainer.early_stopping=2")
    fit(config, tmp_path)
    assert start_of(config, tmp_path) == checkpoint_path(tmp_path, 2)
    newest = read(checkpoint_path(tmp_path, 2), FINGERPRINT)
    (stopping,) = (state for name, state in newest["callbacks"].items() if "Stopping" in name)
    stopping["best_weights"]["network.decoder.bias" if forged is not None else "more"] = forged
    DurableCheckpointIO(FINGERPRINT).save_checkpoint(newest, checkpoint_path(tmp_path, 2))
    assert start_of(config, tmp_path) == checkpoint_path(tmp_path, 1)


class Attack:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    """Not even where Lightning is told that it may."""
    canary, path = tmp_path / "canary", checkpoint_path(tmp_path, 1)
    checkpoint_io = DurableCheckpointIO(FINGERPRINT)
    checkpoint_io.save_checkpoint({}, path)
    torch.save({"epoch": Attack(canary)}, path)
    about = json.loads(path.with_suffix(".json").read_text())
    about["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoint_io.load_checkpoint(path, weights_only=False)
    assert not canary.exists()
    torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert canary.exists()


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The system takes no more bytes of a file than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class FullDisk(DurableCheckpointIO):
    """Has room for ``size`` bytes when certain epochs are saved."""

    def __init__(self, size: int, *epochs: int) -> None:
        super().__init__(FINGERPRINT)
        self.size = size
        self.epochs = epochs

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        full = checkpoint["epoch"] + 1 in self.epochs
        with room_for(self.size if full else resource.RLIM_INFINITY):
            super().save_checkpoint(checkpoint, path)


@pytest.mark.parametrize("size", [0, 50, 2000], ids=["none", "not the JSON", "not the weights"])
def test_training_goes_on_when_the_disk_is_full_and_each_epoch_tries_again(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    config = tiny("epochs=4")
    undisturbed = fit(config, tmp_path / "undisturbed")
    capsys.readouterr()
    with pytest.raises(Killed):
        fit(config, tmp_path, killed_after=3, checkpoint_io=FullDisk(size, 2, 3))
    assert capsys.readouterr().out.splitlines() == [
        "warning: epoch 2 could not be saved (File too large); training continues, and each epoch "
        "tries again"
    ]
    files = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert files == {"epoch=1.safetensors", "epoch=1.json"}
    again = fit(config, tmp_path, checkpoint_io=FullDisk(size, 2, 3))
    assert_identical(again.learner.state_dict(), undisturbed.learner.state_dict())
    assert saved_epochs(tmp_path) == [4, 1]
    assert start_of(config, tmp_path) == checkpoint_path(tmp_path, 4)


def test_training_continues_when_its_state_cannot_be_written(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CosineAnnealingLR, "state_dict", lambda _: {"milestones": {1, 2}})
    fitted = fit(tiny("epochs=2", "optimizer.schedule=cosine"), tmp_path)
    assert len(fitted.history.epochs) == 2
    assert capsys.readouterr().out.splitlines() == [
        "warning: epoch 1 could not be saved (Object of type set is not JSON serializable); "
        "training continues, and each epoch tries again"
    ]


def kept(folder: Path, *epochs: int, full: tuple[int, ...] = ()) -> list[int]:
    """The epochs in a folder after these, the disk full in a few of them."""

    def save(path: Path, **_: bool) -> None:
        if epoch in full:
            raise OSError("full")
        path.parent.mkdir(exist_ok=True)
        path.touch()

    for epoch in epochs:
        trainer = SimpleNamespace(current_epoch=epoch - 1, save_checkpoint=save)
        Checkpoints(folder).on_train_epoch_end(cast(pl.Trainer, trainer), Mock(spec=Learner))
    return saved_epochs(folder)


def test_the_last_two_that_could_be_saved_are_kept(tmp_path: Path) -> None:
    assert kept(tmp_path, 1) == [1]
    assert kept(tmp_path, 2, 3, 4) == [4, 3]
    assert kept(tmp_path, 5, 6, 7, full=(5, 7)) == [6, 4]


def test_epochs_that_were_gone_back_from_are_removed(tmp_path: Path) -> None:
    kept(tmp_path, 7, 8)
    assert kept(tmp_path, 5, 6) == [6, 5]


def test_early_stopping_keeps_the_best_weights_whatever_was_saved(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("epochs=50", "optimizer=adam", "lr=0.5", "trainer.early_stopping=2")
    fitted = fit(config, tmp_path / "full", checkpoint_io=FullDisk(0, *range(1, 51)))
    assert saved_epochs(tmp_path / "full") == []
    stopping = fitted.trainer.early_stopping_callback
    assert isinstance(stopping, EarlyStopping)
    errors = [epoch["val/mse"] for epoch in fitted.history.epochs]
    assert stopping.best_epoch == errors.index(min(errors)) + 1 == len(errors) - 2
    with pytest.raises(Killed):
        fit(config, tmp_path / "cut", killed_after=stopping.best_epoch)
    best = read(checkpoint_path(tmp_path / "cut", stopping.best_epoch), FINGERPRINT)
    assert_identical(stopping.best_weights, dict(best["state_dict"]))


@pytest.mark.parametrize(
    "named", [None, 3, {}, "text", ["\ud800", "\x1b[31m", 7, "x" * 999]], ids=repr
)
def test_what_a_checkpoint_says_of_its_devices_is_text_of_one_line(
    tmp_path: Path, named: object
) -> None:
    (tmp_path / "epoch=1.json").write_text(json.dumps({"computed_by": named}))
    devices = computed_by(tmp_path / "epoch=1.safetensors")
    assert len(devices) == (len(named) if isinstance(named, list) else 0)
    for device in devices:
        assert device.isprintable()
        assert len(device) <= 200
        device.encode()
