"""Run the train command, and write where its time went.

    python -m benchmarks.shares BEGAN parts.json -m hidden=64,128,256,512

BEGAN is when the process began, in seconds since the epoch. What a part takes is what its
functions take less what other parts take within them: of the main thread the seconds that pass,
of other threads, which work beside it, those of their processor.
"""

import functools
import gc
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fae.runtime import process

spent: dict[str, float] = defaultdict(float)
beside: dict[str, float] = defaultdict(float)


class Account(threading.local):
    """What the parts take in one thread."""

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        self.spent = spent if main else beside
        self.clock: Callable[[], float] = time.perf_counter if main else time.thread_time
        self.within: list[str] = []
        self.since = self.clock()

    def enter(self, part: str) -> None:
        self._charge()
        self.within.append(part)

    def leave(self) -> None:
        self._charge()
        self.within.pop()

    def _charge(self) -> None:
        """Put the time since the last change down to the part that is going on."""
        now = self.clock()
        if self.within:
            self.spent[self.within[-1]] += now - self.since
        self.since = now


account = Account()


def main() -> None:
    """Time the parts of the command that follows on the command line."""
    process.begin()
    began, parts = float(sys.argv.pop(1)), Path(sys.argv.pop(1)).absolute()
    from mlflow import MlflowClient
    from pytorch_lightning import Trainer

    from fae import train
    from fae.data.datamodule import ImageDataModule
    from fae.data.fashion_mnist.images import FashionMNIST
    from fae.reports import write
    from fae.runs import run
    from fae.runs.checkpoint import Checkpoints
    from fae.runs.history import History
    from fae.runs.progress import ProgressDisplay
    from fae.sweeps import sweep
    from fae.tracking.run import Run
    from fae.tracking.store import Store
    from fae.training.learner import Learner

    stored = [
        name
        for name in vars(MlflowClient)
        if name.startswith(("create_run", "create_logged_model", "log_", "set_", "finalize_"))
        and name != "log_figure"  # draws it
    ]
    for part, owner, names in (
        ("Hydra and the sweep", train, ["main"]),
        ("report", sweep, ["_report"]),
        ("run around the training", run, ["train"]),
        ("Lightning", Trainer, ["fit", "test"]),
        ("Lightning", Learner, ["log", "optimizers", "lr_schedulers"]),
        ("steps and evaluations", Learner, ["training_step", "validation_step", "test_step"]),
        ("reading the images", ImageDataModule, ["setup"]),
        ("reading the images", FashionMNIST, ["verify"]),
        ("checkpoints", Checkpoints, ["on_train_epoch_end"]),
        ("history and progress", History, ["on_train_start", "on_train_epoch_end", "picture"]),
        ("history and progress", ProgressDisplay, ["on_train_epoch_end"]),
        ("making the store", Store, ["__init__"]),
        ("MLflow", MlflowClient, stored),
        ("exporting the model", Run, ["log_model"]),
        ("drawing", run, ["_draw"]),
        ("counting dead units", Learner, ["dead_units"]),
        ("collecting garbage", gc, ["collect"]),
    ):
        for name in names:
            _time(owner, name, part)
    vars(write)["user_cache_path"] = Path  # PCA is fitted, as for a first report
    spent["starting Python, imports"] = time.time() - began
    try:
        train.main()
    finally:
        found = {"shares": spent, "beside": beside}
        parts.write_text(json.dumps(found, indent=2) + "\n")


def _time(owner: Any, name: str, part: str) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        account.enter(part)
        try:
            return function(*arguments, **named)
        finally:
            account.leave()

    setattr(owner, name, timed)


if __name__ == "__main__":
    main()
