"""The result of a finished run, small enough to be passed between processes."""

from dataclasses import dataclass

from fae.drawing.pictures import Panel


@dataclass(frozen=True)
class Result:
    """The result of one finished run.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        run_id: of the run in the store.
        parameters: the run's dials and choices.
        epochs: one entry per epoch, with ``train/loss``, ``train/mse`` and ``val/mse``.
        tested_epoch: the epoch, from 1, whose weights were tested and logged.
        metrics: ``test/mse``, ``hidden/dead``, ``model/parameters``, ``time/fit_s``,
            ``time/total_s``.
        panel: reconstructions of test images.
        lacking: what the store lacks of the run, and how to upload it; empty where it has all.
    """

    name: str
    run_id: str
    parameters: dict[str, int | float | str]
    epochs: list[dict[str, float]]
    tested_epoch: int
    metrics: dict[str, float]
    panel: Panel
    lacking: str = ""

    @property
    def final(self) -> dict[str, float]:
        """Metrics of the tested epoch and of the end."""
        return {**self.epochs[self.tested_epoch - 1], **self.metrics}
