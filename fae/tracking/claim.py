"""Which process computes a run, where several begin it at once and share nothing but the store.

Each attempt at a run is a parameter of it, ``fae.attempt.N``, and belongs to the process whose
value the store has: of a parameter it refuses a second value, whoever asks. So one process resumes
a run, and one closes it.

To begin a new one, a process creates a run, its *candidate*, and then looks for those that others
have created meanwhile. It has to withdraw them all, by taking the first attempt of each, before it
takes that of its own. Of two processes at least one sees the other's candidate, as each looks after
it has created its own; so both cannot succeed. Neither clocks nor locks are involved; that the
candidate with the smaller id is given a while to succeed only spares most of the second tries.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fae.runtime.digest import short_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

ATTEMPT = "fae.attempt."
"""Prefix of the parameters of a run that hold its attempts, numbered from 1."""
WITHDRAWN = "withdrawn"
"""The first attempt at a candidate that another process has withdrawn."""
SILENT = "silent"
"""How an attempt begins that closed a run for want of a sign of life."""
TAG = "fae.claim"
"""Tag of a run: a digest of what only one process at a time may compute."""
WAIT_S = 5.0
"""How long candidates with smaller ids may take to succeed, all of them together."""
POLL_S = 0.1


class TakenError(Exception):
    """Another process was quicker: it begins or has resumed the run."""


def attempts(parameters: Mapping[str, str]) -> list[str]:
    """The values of the attempts at a run so far, in order, by its parameters."""
    numbered = {
        int(number): value
        for key, value in parameters.items()
        if key.startswith(ATTEMPT) and (number := key.removeprefix(ATTEMPT)).isdecimal()
    }
    return [numbered[number] for number in sorted(numbered)]


def settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a run except its attempts."""
    return {key: value for key, value in parameters.items() if not key.startswith(ATTEMPT)}


def tag_of(subject: str) -> str:
    """The value of ``TAG`` for what only one process at a time may compute."""
    return short_digest(subject)


def take(client: "MlflowClient", run_id: str, number: int, value: str) -> bool:
    """Take an attempt at a run; whether no other process has taken it.

    Raises:
        MlflowException: the store is not reachable, or the run was deleted.
    """
    from mlflow.exceptions import MlflowException

    key = f"{ATTEMPT}{number}"
    try:
        client.log_param(run_id, key, value)
    except MlflowException:
        stored = client.get_run(run_id).data.params.get(key)
        if stored is None:
            raise
        return bool(stored == value)
    return True


class Claim:
    """What a process is about to begin, and which runs of it there were before.

    Created before the process looks for stored runs: what was there then, it has seen.

    Args:
        experiment_id: of the experiment in which it is begun.
        subject: what only one process at a time may compute, any text.
    """

    def __init__(self, client: "MlflowClient", experiment_id: str, subject: str) -> None:
        self.tag = tag_of(subject)
        self._client = client
        self._experiment_id = experiment_id
        self._seen = {run.info.run_id: count(run) for run in self._runs()}

    def win(self, run_id: str, value: str) -> bool:
        """Whether a new run is the one to be computed; all others are withdrawn then.

        Args:
            value: of its first attempt, unique to the process.
        """
        return self.withdraw_others(run_id) and take(self._client, run_id, 1, value)

    def withdraw_others(self, run_id: str) -> bool:
        """Whether no other process computes the same as a run, new or resumed.

        The candidates of others are withdrawn. Where another run has been resumed meanwhile, or a
        candidate has succeeded, this process comes too late.
        """
        deadline = time.monotonic() + WAIT_S
        for run in self._runs():
            other = run.info.run_id
            if other == run_id:
                continue
            if other in self._seen:
                if count(run) > self._seen[other]:
                    return False
                continue
            first = run.data.params.get(f"{ATTEMPT}1")
            if first is None and other < run_id:
                first = self._decided(other, deadline)
            if first == WITHDRAWN:
                continue
            if first or not take(self._client, other, 1, WITHDRAWN):
                return False
        return True

    def withdraw(self, run_id: str) -> None:
        """Delete the process's own candidate, as another process was quicker."""
        from mlflow.exceptions import MlflowException

        if not take(self._client, run_id, 1, WITHDRAWN):
            return
        try:
            self._client.delete_run(run_id)
        except MlflowException:  # a server that lets its users write may not let them delete
            self._client.set_terminated(run_id, "KILLED")

    def wait_for_taker(self, run_id: str, attempts: int) -> None:
        """Wait until the process that has taken an attempt at a run has resumed it.

        That is given up if its tags stay the same for a while.

        Args:
            attempts: their number, that one included.
        """
        deadline, tags = time.monotonic() + WAIT_S, None
        while time.monotonic() < deadline:
            run = self._client.get_run(run_id)
            if run.info.status == "RUNNING" or count(run) > attempts:
                return
            if run.data.tags != tags:
                deadline, tags = time.monotonic() + WAIT_S, run.data.tags
            time.sleep(POLL_S)

    def _decided(self, run_id: str, deadline: float) -> str | None:
        """The first attempt at another candidate, or None if there is none by then."""
        while time.monotonic() < deadline:
            if first := self._client.get_run(run_id).data.params.get(f"{ATTEMPT}1"):
                return str(first)
            time.sleep(POLL_S)
        return None

    def _runs(self) -> "list[MlflowRun]":
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{TAG}` = '{self.tag}'", max_results=1000
        )
        return [*found]


def count(run: "MlflowRun") -> int:
    """The number of attempts at a run."""
    return len(attempts(run.data.params))
