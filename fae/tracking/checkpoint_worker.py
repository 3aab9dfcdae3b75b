"""Uploads checkpoints to a server while a run is training, in a thread of its own.

So neither metrics nor signs of life wait for a checkpoint, however large it is and whatever fails.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fae.errors import first_line
from fae.runtime.console import warn
from fae.tracking.checkpoints import StoredCheckpoint, remove_checkpoints, saved_epochs
from fae.tracking.journal import Journal
from fae.tracking.liveness import SupersededError
from fae.tracking.uploader import Uploader, check_not_deleted

POLL_S = 0.05
LONGEST_UPLOAD_S = 30.0
"""How long a run that has finished waits for an upload, which it removes then."""


class CheckpointWorker:
    """Uploads the newest checkpoint of a run once in an interval, if there is a new one.

    The store names it only when it also has all that the run had logged by then. What fails is
    tried again after the next interval, and a store that rejects it is named once.

    Args:
        uploader, journal: of the run.
        check: raises SupersededError if another process has taken the run over.
        interval_s: seconds between two uploads.
    """

    def __init__(
        self,
        uploader: Uploader,
        journal: Journal,
        check: Callable[[], None],
        interval_s: float,
    ) -> None:
        self._uploader = uploader
        self._journal = journal
        self._check = check
        self._interval_s = interval_s
        self._uploaded = 0
        self._began = False
        self._refused = False
        self._may_resume = True
        self._deadline = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self, *, may_resume: bool, patience_s: float) -> None:
        """Upload the newest checkpoint if the run may be resumed, and wait half of the patience.

        Args:
            may_resume: otherwise an upload is waited for, and removed.
            patience_s: how long the end of a run that may be resumed is to take.
        """
        self._may_resume = may_resume
        self._deadline = time.monotonic() + patience_s
        self._closing.set()
        self._thread.join(patience_s / 2 if may_resume else LONGEST_UPLOAD_S)

    def _run(self) -> None:
        with suppress(SupersededError):
            while not self._closing.wait(self._interval_s):
                self._try_to_save()
            if self._may_resume:
                self._try_to_save()
            elif self._began:
                remove_checkpoints(self._uploader.client, self._uploader.run_id, unnamed=True)

    def _try_to_save(self) -> None:
        newest = max(saved_epochs(self._uploader.folder), default=0)
        if newest in (0, self._uploaded):
            return
        try:
            self._save(newest)
        except SupersededError:
            raise
        except FileNotFoundError:  # training has just removed it, as there are newer ones
            pass
        except Exception as problem:
            with suppress(Exception):  # the store is away, as is said already
                check_not_deleted(self._uploader.client, self._uploader.run_id)
                self._tell(newest, problem)

    def _save(self, epoch: int) -> None:
        """Upload a checkpoint, and name it once the store has all that was logged by then."""
        client, run_id = self._uploader.client, self._uploader.run_id
        logged = self._journal.written
        self._check()
        stored = StoredCheckpoint.of(client.get_run(run_id).data.tags)
        checkpoint = StoredCheckpoint(epoch, "b" if stored and stored.place == "a" else "a")
        self._began = True
        checkpoint.upload(client, run_id, self._uploader.folder)
        while self._journal.delivered < logged or self._journal.unsaved:
            is_late = time.monotonic() > self._deadline
            if self._closing.is_set() and (is_late or not self._may_resume):
                return
            time.sleep(POLL_S)
        self._check()
        checkpoint.name(client, run_id)
        self._uploaded = epoch

    def _tell(self, epoch: int, problem: Exception) -> None:
        if not self._refused:
            self._refused = True
            warn(
                f"the checkpoint of epoch {epoch} cannot be stored ({first_line(problem)}); "
                f"training continues, and it is tried again every {self._interval_s:g} s"
            )
