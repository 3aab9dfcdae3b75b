"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fae.runs.job import Job
from fae.runtime.console import say
from fae.runtime.formatting import format_duration, format_error

BAR, SHORTEST_BAR = 24, 8
"""Columns of a bar."""
GAP = "  "
"""Between the parts of a line."""
LEAST_IMPORTANT = "train", "group", "val"
"""Details of a line in the order in which they are left out."""


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
        self._bar: _Bar | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert trainer.max_epochs is not None
        self._started = time.time()
        if self.console.is_terminal:
            self._bar = _Bar(self.job.label, trainer.max_epochs, self.console)
            self._bar.start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._first = trainer.current_epoch  # not 0 in a resumed run

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert trainer.max_epochs is not None
        done = trainer.current_epoch + 1
        errors = {
            split: f"{split} {format_error(float(trainer.callback_metrics[f'{split}/mse']))}"
            for split in ("train", "val")
        }
        share_since = (done - self._first) / (trainer.max_epochs - self._first)
        left = f"{_left(time.time() - self._started, share_since)} left"
        details = {**errors, "left": left, "group": self._group_left(share_since)}
        if self._bar:
            self._bar.show(done, details)
        else:
            epoch = f"epoch {done}/{trainer.max_epochs}"
            shown = filter(None, [self.job.label, epoch, *details.values()])
            say(GAP.join(shown), self.console)

    def _group_left(self, share_of_job: float) -> str:
        """The time left of all jobs; empty where there are no others, or they run side by side.

        Args:
            share_of_job: what is done of the epochs that were left when the job began.
        """
        group = self.job.group
        if group is None or not group.in_turn:
            return ""
        share = group.share_done(self.job.number, share_of_job)
        return f"{group.kind} {_left(time.time() - group.started, share)} left"

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


class _Bar(Progress):
    """The live line of a run: its label, a bar, epochs done, and what else there is room for."""

    def __init__(self, label: str, epochs: int, console: Console) -> None:
        self._label = label
        self._part = BarColumn(BAR)
        super().__init__(
            TextColumn("{task.description}", markup=False),
            self._part,
            TextColumn("{task.completed:.0f}/{task.total:.0f}{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=2,
        )
        self._epochs = epochs
        self._task = self.add_task("", total=epochs, state="")
        self.show(0, {})

    def show(self, done: int, details: Mapping[str, str]) -> None:
        """Update the line.

        Args:
            done: epochs.
            details: as ``fit`` has them.
        """
        count = f"{done}/{self._epochs}"
        label, self._part.bar_width, shown = fit(self._label, count, details, self.console.width)
        state = "".join(GAP + detail for detail in shown)
        self.update(self._task, completed=done, description=label, state=state)


def fit(
    label: str, count: str, details: Mapping[str, str], width: int
) -> tuple[str, int, list[str]]:
    """What a line of progress has room for: the label, the columns of the bar, and some details.

    Details are left out before the label is cut; the bar is never left out.

    Args:
        count: of epochs.
        details: the errors ``train`` and ``val``, and the time ``left`` of the run and of its
            ``group``; some may be empty.
        width: of the terminal.
    """
    shown = {name: detail for name, detail in details.items() if detail}
    room = width - len(f" {count} ") - SHORTEST_BAR

    def left() -> int:
        return room - sum(len(GAP + detail) for detail in shown.values())

    for name in LEAST_IMPORTANT:
        if len(label) > left():
            shown.pop(name, None)
    if left() < 1:
        shown.clear()
    if len(label) > left():
        label = label[: max(0, left() - 1)] + "\N{HORIZONTAL ELLIPSIS}"
    return label, max(1, min(BAR, SHORTEST_BAR + left() - len(label))), [*shown.values()]


def _left(elapsed_s: float, share_done: float) -> str:
    """The time left, if the rest is as fast as what is done."""
    return format_duration(elapsed_s * (1 - share_done) / share_done)
