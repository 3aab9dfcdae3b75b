"""Launchers with a queue, such as Slurm's: what they offer, and what they know of a sweep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from hydra.plugins.launcher import Launcher

from fae.errors import ConfigError
from fae.runs.task import Task
from fae.tracking.archive import Archive


@runtime_checkable
class QueueLauncher(Protocol):
    """A launcher whose jobs wait in a queue, run elsewhere, and outlive the command.

    Its ``launch`` returns one ``JobReturn`` per job, whatever becomes of the others: that of a job
    that did not end well has a ``JobEndError``, that of a job left to itself the status UNKNOWN.

    Attributes:
        tag: is given tags of the sweep's run.
    """

    tag: Callable[[Mapping[str, str]], object]

    def check(self) -> None:
        """Check the launcher's settings.

        Raises:
            ConfigError: one is wrong, or jobs cannot be submitted from here.
        """

    def attach(self, tasks: Sequence[Task], archive: Archive | None, identity: str) -> list[Task]:
        """The tasks of a sweep, of which those that have a job in the queue are QUEUED."""


def attach(
    tasks: Sequence[Task], launcher: Launcher, archive: Archive | None, identity: str
) -> list[Task]:
    """The tasks with what a launcher that has a queue knows of them.

    Args:
        identity: of their sweep, as ``fae.sweeps.parent_run`` has it.

    Raises:
        ConfigError: ``sweep.detach`` with a launcher that has none, or with settings that it would
            not follow; or the launcher's settings are wrong.
        FaeError: the queue does not answer.
    """
    settings = tasks[0].config.sweep
    if settings.detach and not isinstance(launcher, QueueLauncher):
        raise ConfigError("sweep.detach=true: needs a launcher with a queue: hydra/launcher=slurm")
    if settings.detach and settings.rerun:
        raise ConfigError(
            "sweep.detach=true: not with sweep.rerun=true, as the same command would submit all "
            "jobs again, rather than watch them"
        )
    if settings.detach and settings.on_failure == "stop":
        raise ConfigError(
            "sweep.detach=true: not with sweep.on_failure=stop, as nobody would notice a failure"
        )
    if isinstance(launcher, QueueLauncher):
        launcher.check()
        return launcher.attach(tasks, archive, identity)
    return list(tasks)
