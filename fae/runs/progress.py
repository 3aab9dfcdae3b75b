"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

import time
from datetime import timedelta

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fae.runs.job import Job
from fae.runtime.console import say
from fae.runtime.formatting import format_error


class ProgressDisplay(pl.Callback):
    """Shows epochs done, both errors, and the time left of the run and of its group.

    Args:
        job: the run that is shown.
        console: where to write.
    """

    def __init__(self, job: Job, console: Console) -> None:
        self.job = job
        self.console = console
        self._started = time.time()
        self._first = 0
        self._bar: Progress | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.time()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                console=self.console,
                transient=True,
                refresh_per_second=2,
            )
            self._bar.add_task(self.job.label, total=trainer.max_epochs, state="")
            self._bar.start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._first = trainer.current_epoch  # not 0 in a resumed run

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert trainer.max_epochs is not None
        done = trainer.current_epoch + 1
        errors = "  ".join(
            f"{split} {format_error(float(trainer.callback_metrics[f'{split}/mse']))}"
            for split in ("train", "val")
        )
        share_since = (done - self._first) / (trainer.max_epochs - self._first)
        left = _left(time.time() - self._started, share_since) + " left"
        group = self.job.group
        if group and group.in_turn:
            share = group.share_done(self.job.number, done / trainer.max_epochs)
            left += f", {group.kind} {_left(time.time() - group.started, share)} left"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done, state=f"{errors}  {left}")
        else:
            line = f"{self.job.label}  epoch {done}/{trainer.max_epochs}  {errors}  {left}"
            say(line, self.console)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _left(elapsed_s: float, share_done: float) -> str:
    """The time left, as m:ss or h:mm:ss, if the rest is as fast as what is done."""
    seconds = round(elapsed_s * (1 - share_done) / share_done)
    return str(timedelta(seconds=seconds)).removeprefix("0:").removeprefix("0")
