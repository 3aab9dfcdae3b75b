"""Who is alive: the one rule by which a run that is RUNNING in the store counts as crashed.

The file lock of a run's folder decides among processes of one boot of a machine that see the
folder. For all others a run gives signs of life in the store; without one for a long time, while
the store answers, it counts as dead, and another process may take it over. Training continues while
the store is away, so a process that comes back looks first whether that has happened.
"""

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from fae.errors import TrainingError
from fae.runtime.machine import Boot, slurm_job
from fae.tracking.address import file_of
from fae.tracking.folder import home
from fae.tracking.lock import is_alive
from fae.tracking.stored_run import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEAT = "fae.beat"
"""Tag of a run: when its process last gave a sign of life, by its own clock."""
BOOT = "fae.boot"
"""Tag of a run: the boot in which its process runs."""
JOB = "fae.job"
"""Tag of a run: the Slurm job in which its process runs; empty or absent outside of one."""
BEATS = 20
"""Signs of life in the time after which a run without one counts as dead."""
RESTORING_S = 1.0
"""Seconds between two signs of life of a run that is being restored; less than ``claim.WAIT_S``."""
LONGEST_GAP_S = 60.0
"""Longest time between two looks of a watch; after a longer one it starts again."""


class SupersededError(TrainingError):
    """Another process has taken the run over."""


def whereabouts() -> dict[str, str]:
    """The tags that tell where the process of a run runs."""
    return {"fae.host": platform.node(), BOOT: str(Boot.current()), JOB: slurm_job()}


@contextmanager
def beating(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Give signs of life of a run within the block, as often as those look who wait for it.

    What fails is left out.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(RESTORING_S):
            with suppress(Exception):
                client.set_tag(run_id, BEAT, _now())

    thread = threading.Thread(target=beat, name="restoring", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Heartbeat:
    """Gives the signs of life of a run, and notices when another process has taken it over.

    Args:
        beat: stores a sign of life.
        attempts: counts the attempts at the run that the store knows.
        own: number of the attempt that lives.
        silence_s: after which a run counts as dead.
    """

    def __init__(
        self,
        beat: Callable[[str], object],
        attempts: Callable[[], int],
        own: int,
        silence_s: float,
    ) -> None:
        self._beat = beat
        self._attempts = attempts
        self._own = own
        self._interval_s = silence_s / BEATS
        self._last = boot_time()

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next sign of life."""
        return boot_time() - self._last >= self._interval_s

    def check(self) -> None:
        """Check that no other process has taken the run over.

        Raises:
            SupersededError: one has.
            Exception: of any other type, if the store is not reachable.
        """
        if self._attempts() > self._own:
            raise SupersededError

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            SupersededError, Exception: as ``check``.
        """
        self.check()
        self._beat(_now())
        self._last = boot_time()


class Watch:
    """Watches runs of other machines for signs of life, by this process's own clock.

    Args:
        silence_s: after which a run counts as dead; the store has to answer throughout.
    """

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self._signs: dict[str, object] = {}
        self._since: dict[str, float] = {}
        self._last = boot_time()

    def restart(self) -> None:
        """Forget what was seen, as the store did not answer."""
        self._since.clear()

    def look(self, runs: Iterable[StoredRun]) -> list[StoredRun]:
        """Those of some runs, just read from the store, that have been silent for too long."""
        return [run for run in runs if self.is_silent(run.id, _sign(run))]

    def has_moved(self, run: StoredRun) -> bool:
        """Whether a run has given a sign of life since the first look at it."""
        return run.id in self._signs and self._signs[run.id] != _sign(run)

    def is_silent(self, name: str, sign: object) -> bool:
        """Whether what is watched under a name has had the same sign for too long."""
        now = boot_time()
        if now - self._last > LONGEST_GAP_S:  # it was suspended, or busy
            self.restart()
        self._last = now
        if self._signs.setdefault(name, sign) != sign:
            self._signs[name] = sign
            self._since[name] = now
        return now - self._since.setdefault(name, now) >= self.silence_s


def boot_time() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def is_crashed(run: StoredRun, uri: str) -> bool:
    """Whether it is certain from here that no process runs a run any more.

    A folder that cannot be seen proves nothing.

    Args:
        uri: of the store, where the run is RUNNING.
    """
    folder = home(run)
    if folder is None:
        return False
    here, there = Boot.current(), Boot.parse(run.tags.get(BOOT, ""))
    if is_taken(folder):
        return False
    if there == here:
        return True
    if run.tags.get("fae.host") != platform.node():
        return False
    if there is None:  # stored by an earlier version
        return True
    return there.machine == here.machine and file_of(uri) is not None  # rebooted; no server


def is_here(run: StoredRun) -> bool:
    """Whether the lock of a run's folder shows that its process is alive."""
    folder = home(run)
    here = Boot.parse(run.tags.get(BOOT, "")) == Boot.current()
    return here and folder is not None and is_taken(folder)


def is_taken(folder: Path) -> bool:
    """Whether a process has locked a folder, as far as that can be determined."""
    try:
        return is_alive(folder)
    except PermissionError:  # another user's, who can tell
        return True
    except OSError:  # whoever locks it next is told the error
        return False


def _sign(run: StoredRun) -> object:
    """What changes of a run while its process is alive, also with one of an earlier version."""
    return run.tags, run.metrics, run.status, run.attempts
