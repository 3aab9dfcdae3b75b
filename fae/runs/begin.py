"""Beginning a run: one process on a machine at a time, by what the store knows by then."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from fae.runs.job import Job
from fae.runs.task import Known
from fae.tracking.lock import store_lock
from fae.tracking.run import Run
from fae.tracking.store import Store

LookedUp = TypeVar("LookedUp", bound=Known)


@contextmanager
def begin(
    store: Store,
    job: Job,
    look_up: Callable[[], LookedUp],
    *,
    kind: str,
    tags: Mapping[str, str],
    parameters: Mapping[str, object] | None = None,
) -> Iterator[tuple[Run | None, LookedUp]]:
    """Begin a new run or resume one, unless the store knows by now that there is nothing to run.

    The run ends with the block; it is None where there is nothing to run.

    Args:
        look_up: what the store knows of the run; no other process begins one meanwhile.
        kind, tags, parameters: as ``Store.run`` has them.

    Raises:
        StoreError, TrainingError: as ``Store.run``.
    """
    with ExitStack() as until_end:
        with store_lock(store.uri):
            known, run = look_up(), None
            if known.to_run:
                folder = known.folder or job.folder
                folder.mkdir(parents=True, exist_ok=True)
                begun = store.run(
                    job.name,
                    kind=kind,
                    folder=folder,
                    command=job.command,
                    parent=job.group.parent if job.group else None,
                    colour=job.colour,
                    parameters=parameters,
                    tags=tags,
                    resume=known.resumes,
                )
                run = until_end.enter_context(begun)
        yield run, known
