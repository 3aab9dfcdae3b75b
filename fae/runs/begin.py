"""Beginning a run: one process at a time, by what the store knows by then."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fae.runs.job import Job
from fae.runs.task import Known
from fae.tracking.claim import Claim, TakenError
from fae.tracking.folder import copy_files
from fae.tracking.lock import LockedError, store_lock
from fae.tracking.run import Run
from fae.tracking.store import Store

TAKING_S = 10.0
"""How long another process may take to begin what it has created, or whose folder it has locked."""
AGAIN_S = 0.2
LookedUp = TypeVar("LookedUp", bound=Known)


@contextmanager
def begin(
    store: Store,
    job: Job,
    look_up: Callable[[], LookedUp],
    *,
    kind: str,
    subject: str,
    tags: Mapping[str, str],
    parameters: Mapping[str, object] | None = None,
) -> Iterator[tuple[Run | None, LookedUp]]:
    """Begin a new run or resume one, unless the store knows by now that there is nothing to run.

    The run ends with the block; it is None where there is nothing to run.

    Args:
        look_up: what the store knows of the run; called again if another process begins it at the
            same time.
        subject: what no other process may begin at the same time.
        kind, tags, parameters: as ``Store.run`` has them.

    Raises:
        StoreError, TrainingError: as ``Store.run``.
    """
    about = {"kind": kind, "parameters": parameters, "tags": tags}
    deadline = time.monotonic() + TAKING_S
    with ExitStack() as until_end:
        with store_lock(store.uri):
            while True:
                claimed, run = store.claim(subject), None
                known = _once_decided(look_up, deadline)
                if not known.to_run:
                    break
                try:
                    run = until_end.enter_context(_opened(store, job, known, claimed, about))
                    break
                except (LockedError, TakenError) as other:
                    if isinstance(other, LockedError) and time.monotonic() > deadline:
                        raise
                time.sleep(AGAIN_S)
        yield run, known


def _once_decided(look_up: Callable[[], LookedUp], deadline: float) -> LookedUp:
    """What the store knows, once other processes have decided which of their runs begins."""
    known = look_up()
    while known.run and known.run.is_undecided and time.monotonic() < deadline:
        time.sleep(AGAIN_S)
        known = look_up()
    return known


def _opened(
    store: Store, job: Job, known: Known, claimed: Claim, about: Mapping[str, Any]
) -> AbstractContextManager[Run]:
    """A run that begins when it is entered, unless another process is quicker.

    Args:
        about: more arguments of ``Store.run``.
    """
    return store.run(
        job.name,
        folder=_folder(job, known),
        command=job.command,
        parent=job.group.parent if job.group else None,
        colour=job.colour,
        resume=known.run if known.resumes else None,
        restore=known.is_from_store,
        claimed=claimed,
        **about,
    )


def _folder(job: Job, known: Known) -> Path:
    """The folder for a run's files; one that its former process may still write to is copied."""
    folder = known.folder if known.folder and not known.is_held else job.folder
    folder.mkdir(parents=True, exist_ok=True)
    if known.folder and known.is_held:
        copy_files(known.folder, folder)
    return folder
