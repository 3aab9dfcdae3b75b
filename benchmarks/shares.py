"""Run the train command, and write where its time went.

    python -m benchmarks.shares parts.json -m hidden=64,128,256,512

What a part takes is what its functions take less what other parts take within them.
"""

import functools
import gc
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

STEPS = "steps and evaluations"
START = "starting Python, imports"

spent: dict[str, float] = defaultdict(float)
_within: list[str] = []
_since = time.perf_counter()


def main() -> None:
    """Time the parts of the command that follows on the command line."""
    parts = Path(sys.argv.pop(1)).absolute()
    _enter(START)
    began = psutil.Process().create_time()
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import ModelCheckpoint

    from fae import reporting, sweep, train, training
    from fae.data import ImageDataModule
    from fae.history import History
    from fae.learner import Learner
    from fae.progress import ProgressDisplay
    from fae.sources import FashionMNIST
    from fae.tracking import Run, Store

    for part, owner, names in (
        ("Hydra and the sweep", train, ["main"]),
        ("report", sweep, ["_report"]),
        ("report", reporting, ["make_report"]),
        ("run around the training", training, ["train"]),
        ("Lightning", Trainer, ["fit", "test"]),
        (STEPS, Learner, ["training_step", "validation_step", "test_step", "dead_units"]),
        ("reading the images", ImageDataModule, ["setup"]),
        ("reading the images", FashionMNIST, ["verify"]),
        ("checkpoints", ModelCheckpoint, ["on_train_epoch_end", "on_validation_end"]),
        ("history and progress", History, ["on_train_start", "on_train_epoch_end"]),
        ("history and progress", ProgressDisplay, ["on_train_epoch_end"]),
        ("making the store", Store, ["__init__"]),
        ("MLflow", Run, ["log_metrics", "log_data", "log_text", "log_image", "set_tags"]),
        ("exporting the model", Run, ["log_model"]),
        ("drawing", Run, ["log_figure"]),
        ("drawing", training, ["_draw"]),
        ("collecting garbage", gc, ["collect"]),
    ):
        for name in names:
            _time(owner, name, part)
    _leave()
    spent[START] = time.time() - began
    try:
        train.main()
    finally:
        parts.write_text(json.dumps(spent, indent=2) + "\n")


def _time(owner: Any, name: str, part: str) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        _enter(part)
        try:
            return function(*arguments, **named)
        finally:
            _leave()

    setattr(owner, name, timed)


def _enter(part: str) -> None:
    _charge()
    _within.append(part)


def _leave() -> None:
    _charge()
    _within.pop()


def _charge() -> None:
    """Put the time since the last change down to the part that is going on."""
    global _since
    now = time.perf_counter()
    if _within:
        spent[_within[-1]] += now - _since
    _since = now


if __name__ == "__main__":
    main()
