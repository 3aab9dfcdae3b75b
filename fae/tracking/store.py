"""Creating and resuming runs in a store, and ending them with their true status."""

import getpass
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import tenacity

from fae.errors import FaeError, StoreError, cause, first_line
from fae.runtime import signals
from fae.runtime.console import warn
from fae.runtime.signals import allow_signals, defer_signals
from fae.tracking import claim
from fae.tracking.address import file_of
from fae.tracking.checkpoint_worker import CheckpointWorker
from fae.tracking.claim import Claim, TakenError
from fae.tracking.config import TrackingConfig
from fae.tracking.connection import asking, connect
from fae.tracking.delivery import UploadWorker
from fae.tracking.folder import KEY, LINK, Link, check_still_holds, clear
from fae.tracking.journal import Journal
from fae.tracking.liveness import BEAT, Heartbeat, SupersededError, beating, whereabouts
from fae.tracking.lock import run_lock
from fae.tracking.restoration import restore as restore_folder
from fae.tracking.run import Run
from fae.tracking.stored_run import StoredRun
from fae.tracking.uploader import Uploader

SOURCES = {"study": "fae.search", "reproduction": "fae.reproduce"}
"""By kind of run the commands that make it; all others are made by ``fae.train``."""
ENDED_FROM_OUTSIDE = SystemExit, KeyboardInterrupt, GeneratorExit, SupersededError


class Store:
    """An experiment in a store, created on first use.

    Args:
        patience_s: how long to wait for a store that is not reachable.

    Raises:
        StoreError: the store cannot be opened, read or written.
    """

    def __init__(self, config: TrackingConfig, *, patience_s: float = 0) -> None:
        self.config = config
        self.uri = config.uri
        self._client, self.experiment_id, _ = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StoreError),
            stop=tenacity.stop_after_delay(patience_s),
            wait=tenacity.wait_random_exponential(max=10),
            before_sleep=_say_waiting,
            reraise=True,
        )(connect, config, create=True)

    def claim(self, subject: str) -> Claim:
        """A claim to what is about to be begun, made before stored runs are looked for.

        Args:
            subject: what only one process at a time may compute.

        Raises:
            StoreError: the store cannot be read.
        """
        with asking(self.uri):
            return Claim(self._client, self.experiment_id, subject)

    @contextmanager
    def run(
        self,
        name: str,
        *,
        kind: str,
        folder: Path,
        command: str,
        parent: str | None = None,
        colour: str | None = None,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        resume: StoredRun | None = None,
        restore: bool = False,
        claimed: Claim | None = None,
    ) -> Iterator[Run]:
        """A run that ends FINISHED, or FAILED or KILLED, depending on how the block ends.

        Signals are deferred while the run is begun and ended, so that it is never left RUNNING. If
        entries are missing from the store in the end, ``Run.lacking`` says so, and a warning if the
        block raised.

        Args:
            name: of the run in the UI.
            kind: one of ``fae.tracking.archive.KINDS``.
            folder: for the run's files; gets a ``run.json`` that links to the run.
            command: reproduces the run.
            parent: id of the run in which this one is nested.
            colour: in the UI, ``#rrggbb``; None: the UI chooses.
            tags: more of them; ``fae.commit`` is the one of the code.
            resume: the run to resume; None for a new run.
            restore: fill the folder with what the store has of the run that is resumed.
            claimed: what no other process may begin at the same time, of a new run.

        Raises:
            TakenError: another process was quicker to begin or to resume it.
            TrainingError: the run is running in another process, or the folder belongs to a run
                that can be resumed or is not completely uploaded.
            StoreError: the run cannot be created.
        """
        own = {"fae.kind": kind, "fae.folder": str(folder), "fae.command": command}
        all_tags = _with_those_of_the_ui({**own, **(tags or {})}, parent, colour)
        with defer_signals(), run_lock(folder):
            run = self._begin(name, folder, command, all_tags, resume, claimed, restore=restore)
            with self._ending(run), allow_signals(), ExitStack() as until_end:
                if self.config.system_metrics:
                    until_end.callback(self._record_system(run.id, resumed=bool(resume)))
                if parameters:
                    run.log_parameters(parameters)
                yield run

    @contextmanager
    def _ending(self, run: Run) -> Iterator[None]:
        """Ends a run with the status that tells how the block ended."""
        status, reason, raised = "FAILED", "", False
        try:
            yield
            # What could not be written is created again by the same command.
            status = "KILLED" if run.left_out or run.is_unfinished else "FINISHED"
        except BaseException as error:
            raised = True
            if signals.arrived() or _is_from_outside(error):
                status = "KILLED"
                raise
            reason = cause(error)[:5000]
            if not isinstance(error, FaeError):
                run.log_text(traceback.format_exc(), "traceback.txt")
            raise
        finally:
            run.end(status, reason, self.uri)
            if run.lacking and raised:
                warn(run.lacking)

    def _begin(
        self,
        name: str,
        folder: Path,
        command: str,
        tags: Mapping[str, str],
        resume: StoredRun | None,
        claimed: Claim | None,
        *,
        restore: bool = False,
    ) -> Run:
        from mlflow.exceptions import MlflowException

        try:
            if resume:
                self._resume(resume, name, folder, command, claimed, restore=restore)
                run_id, attempt = resume.id, len(resume.attempts) + 1
            else:
                run_id, attempt = self._make(name, folder, command, tags, claimed), 1
        except MlflowException as error:
            reason = first_line(error)
            raise StoreError(f"tracking.uri={self.uri}: cannot be written ({reason})") from error
        uploader = Uploader(self._client, run_id, folder)
        journal = Journal(folder)
        journal.mark_all_pending()
        heartbeat = self._heartbeat(uploader, attempt)
        worker = UploadWorker(journal, uploader.deliver, heartbeat)
        interval_s, checkpoints = self.config.checkpoint_s, None
        if interval_s and file_of(self.uri) is None:
            checkpoints = CheckpointWorker(uploader, journal, heartbeat.check, interval_s)
        return Run(run_id, name, folder, journal, worker, checkpoints)

    def _heartbeat(self, uploader: Uploader, attempt: int) -> Heartbeat:
        def beat(moment: str) -> None:
            uploader.deliver([{"tags": {BEAT: moment}}])

        def attempts() -> int:
            return claim.count(self._client.get_run(uploader.run_id))

        return Heartbeat(beat, attempts, attempt, self.config.silence_s)

    def _make(
        self,
        name: str,
        folder: Path,
        command: str,
        tags: Mapping[str, str],
        claimed: Claim | None,
    ) -> str:
        """Create a run, and link its folder to it; returns its id.

        The folder gets a key before the run is created in the store: after a crash in between,
        folder and run can still be matched.
        """
        clear(folder, self._client, self.uri)
        link = Link("", name, self.uri, self.config.experiment, command, key=uuid.uuid4().hex)
        link.write(folder)
        own = {KEY: link.key, **whereabouts(), **({claim.TAG: claimed.tag} if claimed else {})}
        all_tags = {**tags, **own}
        made = self._client.create_run(self.experiment_id, run_name=name, tags=all_tags)
        run_id: str = made.info.run_id
        if claimed is None:
            claim.take(self._client, run_id, 1, link.key)
        elif not claimed.win(run_id, link.key):
            claimed.withdraw(run_id)
            (folder / LINK).unlink()
            raise TakenError
        try:
            replace(link, run_id=run_id).write(folder)
        except OSError as error:
            self._client.set_tag(run_id, "fae.error", cause(error))
            self._client.set_terminated(run_id, "FAILED")
            raise
        return run_id

    def _resume(
        self,
        run: StoredRun,
        name: str,
        folder: Path,
        command: str,
        claimed: Claim | None,
        *,
        restore: bool,
    ) -> None:
        """Set a run RUNNING again, perhaps in another folder.

        First folder and run are linked, then the journal gets an entry, and RUNNING comes last:
        after a crash, recovery finds this folder, whose last entry is no longer an end.
        """
        check_still_holds(folder, run.id)
        if restore and not Link.read(folder):
            clear(folder, self._client, self.uri)
        attempt = len(run.attempts) + 1
        if not claim.take(self._client, run.id, attempt, uuid.uuid4().hex):
            if claimed:
                claimed.wait_for_taker(run.id, attempt)
            raise TakenError
        if claimed and not claimed.withdraw_others(run.id):
            raise TakenError
        key = uuid.uuid4().hex if restore else run.tags.get(KEY, "")
        Link(run.id, name, self.uri, self.config.experiment, command, key).write(folder)
        if restore:
            self._restore(run, folder, attempt)
            self._client.set_tag(run.id, KEY, key)
        for tag, value in {"fae.folder": str(folder), **whereabouts()}.items():
            self._client.set_tag(run.id, tag, value)
        journal = Journal(folder)
        journal.append({"carried_on": run.id, "time": int(time.time() * 1000)})
        if "fae.error" in run.tags:  # of an earlier attempt
            journal.append({"tags": {"fae.error": ""}})
        self._client.update_run(run.id, status="RUNNING")

    def _restore(self, run: StoredRun, folder: Path, attempt: int) -> None:
        """Fill a folder with what the store has of a run, and show meanwhile that this is done.

        It may take long. A run that is interrupted meanwhile is restored again, as its folder does
        not have its key yet.
        """
        with allow_signals(), beating(self._client, run.id), asking(self.uri):
            restore_folder(self._client, run, folder)
        if claim.count(self._client.get_run(run.id)) > attempt:
            raise TakenError

    def _record_system(self, run_id: str, *, resumed: bool) -> Callable[[], object]:
        """Start to record system metrics; returns a function that stops it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(
            run_id, sampling_interval=1, resume_logging=resumed, tracking_uri=self.uri
        )
        monitor.start()
        return monitor.finish


def _is_from_outside(error: BaseException) -> bool:
    """Whether an error is not the run's own.

    In a job of submitit's that calls ``fae.fit``, its handler raises an error of its own at a time
    limit.
    """
    submitit = sys.modules.get("submitit.core.utils")
    theirs = (submitit.UncompletedJobError,) if submitit else ()
    return isinstance(error, (*ENDED_FROM_OUTSIDE, *theirs))


def _say_waiting(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome:
        warn(f"{state.outcome.exception()}; waiting for it")


def _with_those_of_the_ui(
    tags: Mapping[str, str], parent: str | None, colour: str | None
) -> dict[str, str]:
    """Tags, and those from which MLflow's pages take a run's origin, place and colour."""
    commit = tags.get("fae.commit", "unknown")
    return {
        **tags,
        "mlflow.source.name": SOURCES.get(tags["fae.kind"], "fae.train"),
        "mlflow.user": _user(),
        **({"mlflow.source.git.commit": commit} if commit != "unknown" else {}),
        **({"mlflow.parentRunId": parent} if parent else {}),
        **({"mlflow.runColor": colour} if colour else {}),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"
