"""Brings a run's journal to the store: in order, in a thread, with retries."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import tenacity

from fae.errors import first_line
from fae.runtime import signals
from fae.runtime.console import say, warn
from fae.tracking.journal import Entry, Journal
from fae.tracking.liveness import Heartbeat, SupersededError
from fae.tracking.outbox import DamagedError
from fae.tracking.uploader import DeletedError, RejectedError

FLUSH_INTERVAL_S = 1.0
"""Seconds between uploads: entries of this time are stored together."""
SHUTDOWN_WAIT_S = 3.0
"""Seconds that the end of a run waits for a store that is not reachable."""
MIN_SHUTDOWN_WAIT_S = 0.5
"""The least of these, if several runs are ended by one signal."""

FINAL = DamagedError, RejectedError, SupersededError
"""Errors of an upload that another try would not mend."""

Deliver = Callable[[Sequence[Entry]], int]
"""Stores the first of some entries, and returns the number of stored ones, as an ``Uploader``."""


class UploadWorker:
    """Uploads a journal in a thread, so that training never waits for the store.

    While the store is not reachable, uploads are retried with growing pauses. A rejected entry is
    set aside, so that the others need not wait, and tried once more at the end. Between uploads,
    and before the first one after a pause, the run gives a sign of life.

    Attributes:
        lost: files that were damaged before their upload.
        superseded: whether another process has taken the run over; nothing more is uploaded.

    Args:
        journal: of the run; notes what is uploaded.
    """

    def __init__(self, journal: Journal, deliver: Deliver, heartbeat: Heartbeat) -> None:
        self.journal = journal
        self.superseded = False
        self._deliver = deliver
        self._heartbeat = heartbeat
        self._closing = threading.Event()
        self._deadline = 0.0
        self._away = False
        self._refused = False
        self.lost: list[str] = []
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def close(self, *, hurry: bool = False) -> bool:
        """Upload what is left; whether everything is in the store.

        Args:
            hurry: wait ``SHUTDOWN_WAIT_S`` at most, as if the store is not reachable or a signal
                has arrived; all runs that are ended by one signal share that time.
        """
        self._deadline = time.monotonic() + shutdown_wait_s()
        self._closing.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            if (hurry or self._away or signals.arrived()) and self._is_late():
                break
        return not self.journal.lacking

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _run(self) -> None:
        try:
            while not self._closing.wait(FLUSH_INTERVAL_S) or self.journal.pending():
                if not self.journal.pending():
                    self._once_back([])
                for entry, problem in upload(self.journal, self._once_back):
                    self._tell(entry, problem)
            for entry, problem in retry_rejected(self.journal, self._deliver):
                self._tell(entry, problem)
        except tenacity.RetryError:
            pass  # there was no more time
        except SupersededError:
            self.superseded = True

    def _once_back(self, entries: Sequence[Entry]) -> int:
        """Give a sign of life and deliver entries, if need be once the store is back."""
        count: int = tenacity.Retrying(
            retry=tenacity.retry_if_not_exception_type(FINAL),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=30),
            stop=lambda _: self._away and self._closing.is_set() and self._is_late(),
            sleep=lambda seconds: time.sleep(0.2) if self._closing.wait(seconds) else None,
            before_sleep=self._say_away,
        )(self._beat_and_deliver, entries)
        if self._away:
            self._away = False
            say("the store is back")
        return count

    def _beat_and_deliver(self, entries: Sequence[Entry]) -> int:
        if self._heartbeat.is_due:
            with suppress(RejectedError):
                self._heartbeat.beat()
        return self._deliver(entries) if entries else 0

    def _tell(self, entry: Entry, problem: Exception) -> None:
        """Warn of a loss, and once of a rejection; the end of the run says what is missing."""
        if isinstance(problem, DamagedError):
            self.lost.append(str(problem))
            warn(f"{problem}; it is left out")
        elif not self._refused:
            self._refused = True
            warn(
                f"the store rejects {described(entry)} ({problem}); what it rejects is kept, all "
                "else is stored"
            )

    def _say_away(self, state: tenacity.RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        if problem and not self._away:
            self._away = True
            how = "accepts nothing" if isinstance(problem, DeletedError) else "is not reachable"
            warn(f"the store {how} ({first_line(problem)}); training continues; uploading later")


def shutdown_wait_s() -> float:
    """Seconds that are left of ``SHUTDOWN_WAIT_S``, since a signal if one has arrived."""
    return max(MIN_SHUTDOWN_WAIT_S, SHUTDOWN_WAIT_S - signals.seconds_since())


def upload(journal: Journal, deliver: Deliver) -> Iterator[tuple[Entry, Exception]]:
    """Upload all pending entries; yields those that are damaged or rejected, each with the error.

    What is rejected is set aside, and what is damaged left out.
    """
    while pending := journal.pending():
        try:
            journal.mark_uploaded(deliver(pending))
        except DamagedError as problem:
            journal.mark_uploaded(1)
            yield pending[0], problem
        except RejectedError as problem:
            journal.set_aside()
            yield pending[0], problem


def retry_rejected(journal: Journal, deliver: Deliver) -> Iterator[tuple[Entry, Exception]]:
    """Try rejected entries once more; yields what is still rejected, or damaged by now."""
    for place in [*journal.aside]:
        entry = journal.entries[place]
        try:
            deliver([entry])
        except DamagedError as problem:
            yield entry, problem
        except Exception as problem:  # it is still kept, and counted as lacking
            yield entry, problem
            continue
        journal.forget_rejected(place)


def described(entry: Entry) -> str:
    """An entry in a message: ``the file config.yaml``."""
    kind = next(iter(entry))
    named = {"file": "the file", "picture": "the picture", "model": "the"}
    return f"{named[kind]} {entry[kind]}" if kind in named else f"the run's {kind}"
