"""A run as the store has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fae.tracking.checkpoints import StoredCheckpoint
from fae.tracking.claim import SILENT, TAG, WITHDRAWN


@dataclass(frozen=True)
class StoredRun:
    """A run in the store.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        started, ended: milliseconds since the epoch; ``ended`` is None of one that is RUNNING.
        metrics: the last value of each, by the names that this version gives them.
        attempts: by whom it was begun, resumed, or closed for want of a sign of life, as
            ``fae.tracking.claim`` has it; none of a run of an earlier version.
    """

    id: str
    name: str
    status: str
    started: int
    ended: int | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    attempts: Sequence[str] = ()

    @property
    def is_withdrawn(self) -> bool:
        """Whether another process, which began it as well, was quicker."""
        return [*self.attempts] == [WITHDRAWN]

    @property
    def is_undecided(self) -> bool:
        """Whether it was just created, and may yet be withdrawn."""
        return self.status == "RUNNING" and TAG in self.tags and not self.attempts

    @property
    def was_silent(self) -> bool:
        """Whether it was closed for want of a sign of life, so that its process may yet return."""
        return bool(self.attempts) and self.attempts[-1].startswith(SILENT)

    @property
    def checkpoint(self) -> StoredCheckpoint | None:
        """From which it is resumed where its folder is not visible."""
        return StoredCheckpoint.of(self.tags)

    @property
    def parent(self) -> str:
        """Id of the run that this one is nested in; empty if it is in none."""
        return self.tags.get("mlflow.parentRunId", "")

    @property
    def cause(self) -> str:
        """Why it failed, in one line."""
        return self.tags.get("fae.error", "").partition("\n")[0] or "no reason stored"
