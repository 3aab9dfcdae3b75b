"""Beginning a run: one process on a machine at a time, by what the store knows by then."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from fae.runs.job import Job
from fae.runs.task import Known, State
from fae.tracking.lock import store_lock
from fae.tracking.run import Run
from fae.tracking.store import Store


@contextmanager
def begin(
    store: Store,
    job: Job,
    look_up: Callable[[], Known],
    *,
    kind: str,
    tags: Mapping[str, str],
    parameters: Mapping[str, object] | None = None,
) -> Iterator[tuple[Run | None, Known]]:
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
            known = look_up()
            resumed = known.run if known.state == State.RESUMABLE else None
            run = None
            if known.to_run:
                run = until_end.enter_context(
                    store.run(
                        job.name,
                        kind=kind,
                        folder=known.folder or job.folder,
                        command=job.command,
                        parent=job.group.parent if job.group else None,
                        parameters=parameters,
                        tags=tags,
                        resume=resumed.id if resumed else None,
                    )
                )
        yield run, known
