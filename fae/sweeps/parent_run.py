"""What a sweep stores with its own run: what its runs share, the plan, and runs it takes over."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence

from fae.reports.selection import PLANNED
from fae.runs.task import State, Task
from fae.runtime.digest import short_digest
from fae.sweeps.seeds import Seeds
from fae.tracking.run import Run

IDENTITY = "fae.fingerprint"


def identity(fingerprints: Iterable[str]) -> str:
    """The fingerprint of a sweep of these runs: the same for the same runs in any order."""
    return short_digest("\n".join(sorted(fingerprints)))


def subject(identity: str, *, rerun: bool) -> str:
    """What no other process may compute at the same time: a sweep, or another one of a rerun."""
    return f"rerun sweep {uuid.uuid4()}" if rerun else f"sweep {identity}"


def shared(parameters: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The parameters that all runs have in common."""
    first, *others = parameters
    missing = object()
    return {
        key: value
        for key, value in first.items()
        if all(other.get(key, missing) == value for other in others)
    }


def tags(tasks: Sequence[Task], seeds: Seeds, *, computes: bool) -> dict[str, str]:
    """Tags with the origin of a sweep, its fingerprint, and how many seeds.

    Args:
        computes: the runs are trained in this process; the hardware of others is theirs to tell.
    """
    from fae.runs import provenance

    digests = dict.fromkeys(task.config.data.build().digest for task in tasks)
    return {
        **(provenance.tags(tasks[0].config) if computes else provenance.software()),
        "fae.data_digest": " ".join(digests),
        IDENTITY: identity(seeds.identity),
        **seeds.tags,
    }


def size(tasks: Sequence[Task]) -> dict[str, str]:
    """The tag with the number of runs that are planned so far."""
    return {PLANNED: str(len(tasks))}


def record(run: Run, tasks: Sequence[Task]) -> None:
    """Store the plan with the sweep."""
    run.set_tags(size(tasks))
    plan = [
        {
            "name": task.name,
            "overrides": task.overrides,
            "fingerprint": task.fingerprint,
            "outlook": task.describe(),
            "config": task.config.plain(),
        }
        for task in tasks
    ]
    run.log_text(json.dumps(plan, indent=1) + "\n", "plan.json")


def adopt(run: Run, tasks: Sequence[Task]) -> None:
    """Store with the sweep which runs of other commands are part of it by now."""
    states = {State.RESUMABLE, State.RUNNING, State.DONE}
    adopted = [
        task.run.id
        for task in tasks
        if task.run and task.state in states and task.run.parent != run.id
    ]
    if adopted:
        text = json.dumps(adopted) + "\n"
        path = f"adopted/{short_digest(text)[:8]}.json"
        run.log_text(text, path)
        run.set_tags({"fae.adopted": path})
