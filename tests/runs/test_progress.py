"""What the terminal shows while a run is running."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console

from fae.config import Config
from fae.errors import TrainingError
from fae.runs.build import build
from fae.runs.job import Job, JobGroup
from fae.runs.progress import ProgressDisplay, _left, fit
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]


def show(config: Config, job: Job, console: Console) -> None:
    data, learner = build(config, config.data.build())
    trainer: pl.Trainer = build_trainer(
        config.trainer,
        epochs=config.epochs,
        folder=job.folder,
        callbacks=[ProgressDisplay(job, console)],
    )
    trainer.fit(learner, data)


def test_without_a_terminal_an_epoch_is_a_line(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that stands still, 100 s after the sweep began."""
    monkeypatch.setattr("fae.runs.progress.time", SimpleNamespace(time=lambda: 100.0))
    console = Console(file=io.StringIO())
    group = JobGroup("parent", started=0.0, work=[1.0, 1.0])
    show(tiny("epochs=3"), Job("hidden=4", tmp_path, "", group, 1), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3
    line = (
        r"\[2/2\] hidden=4  epoch 2/3  train 0\.\d{4}  val 0\.\d{4}  0\.0 s left  sweep 20 s left"
    )
    assert re.fullmatch(line, lines[1])


def test_the_time_left_of_a_resumed_run_is_by_what_it_did_since(tmp_path: Path) -> None:
    """Begun at epoch 8 of 10, 10 s ago; epoch 9 is done now. Another run has as much to do."""
    console = Console(file=io.StringIO())
    group = JobGroup("parent", started=0.0, work=[2.0, 2.0])
    display = ProgressDisplay(Job("hidden=4", tmp_path, "", group), console)
    errors = {"train/mse": torch.tensor(0.1), "val/mse": torch.tensor(0.1)}
    trainer: Any = SimpleNamespace(current_epoch=8, max_epochs=10, callback_metrics=errors)
    module: Any = None
    with pytest.MonkeyPatch.context() as patch:
        for clock, hook in (
            (0.0, display.on_fit_start),
            (0.0, display.on_train_start),
            (10.0, display.on_train_epoch_end),
        ):
            patch.setattr("fae.runs.progress.time", SimpleNamespace(time=lambda now=clock: now))
            hook(trainer, module)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("  10 s left  sweep 30 s left\n")


@pytest.mark.parametrize("lr", ["0.5", "1e9"], ids=["finished", "diverged"])
def test_on_a_terminal_a_bar_ends_with_its_run(tiny: Tiny, tmp_path: Path, lr: str) -> None:
    """However the run ends, the terminal is handed back: cursor, standard output and all."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    before = sys.stdout
    try:
        show(tiny(f"lr={lr}"), Job("hidden=4", tmp_path, ""), console)
    except TrainingError:
        assert lr == "1e9"
    assert sys.stdout is before
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "hidden=4" in shown
    assert shown.count("\x1b[?25h") == shown.count("\x1b[?25l") == 1


DETAILS = {
    "train": "train 0.0421",
    "val": "val 0.0418",
    "left": "2 min 10 s left",
    "group": "sweep 1 h 17 min left",
}


@pytest.mark.parametrize(
    ("label", "width", "shown", "bar"),
    [
        ("[2/4] hidden=128 seed=0", 200, [*DETAILS.values()], 24),
        ("[2/4] hidden=128 seed=0", 120, [*DETAILS.values()], 24),
        ("[2/4] hidden=128 seed=0", 80, ["val 0.0418", "2 min 10 s left"], 21),
        ("[2/4] hidden=128 seed=0", 60, ["2 min 10 s left"], 13),
        ("[2/4] hidden=128 lr=0.1235 dropout=0.2 seed=0", 60, ["2 min 10 s left"], 8),
        ("x" * 500, 60, ["2 min 10 s left"], 8),
        ("x" * 500, 20, [], 8),
    ],
)
def test_a_narrow_line_has_what_is_most_important(
    label: str, width: int, shown: list[str], bar: int
) -> None:
    fitted, columns, details = fit(label, "12/30", DETAILS, width)
    assert (columns, details) == (bar, shown)
    assert fitted in (label, label[: len(fitted) - 1] + "…")
    line = f"{fitted} {'x' * columns} 12/30" + "".join(f"  {detail}" for detail in details)
    assert len(line) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_the_bar_is_seen_on_a_narrow_terminal(tiny: Tiny, tmp_path: Path, width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    group = JobGroup("parent", started=0.0, work=[1.0, 1.0])
    show(
        tiny("epochs=3"), Job("hidden=64 optimizer=adam lr=0.1235", tmp_path, "", group, 1), console
    )
    assert isinstance(console.file, io.StringIO)
    frames = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()))
    bars = [frame for frame in frames if "/3" in frame]
    assert bars
    for bar in bars:
        assert "━" in bar
        assert len(bar) <= width


@pytest.mark.parametrize(
    ("elapsed_s", "share", "left"),
    [(10, 0.5, "10 s"), (10, 1.0, "0.0 s"), (65, 0.5, "1 min 5 s"), (3600, 0.5, "1 h")],
)
def test_the_time_left_follows_from_the_time_gone(
    elapsed_s: float, share: float, left: str
) -> None:
    assert _left(elapsed_s, share) == left
