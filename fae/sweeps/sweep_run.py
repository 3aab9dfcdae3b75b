"""The run of a sweep: its jobs, launched by this process and perhaps by others at the same time."""

from collections.abc import Callable, Mapping, Sequence

from fae.errors import FaeError, TrainingError
from fae.runs.begin import begin
from fae.runs.job import Job, JobGroup
from fae.runs.others import Others
from fae.runs.task import Known, State, Task, look_up
from fae.runtime.console import say
from fae.runtime.formatting import shortened
from fae.runtime.signals import allow_signals, defer_signals
from fae.sweeps import parent_run
from fae.sweeps.launch import Launch
from fae.sweeps.queue_launcher import QueueLauncher, attach
from fae.sweeps.seeds import Seeds
from fae.tracking.archive import Archive
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun

Tag = Callable[[Mapping[str, str]], object]
"""Is given tags of the sweep's run."""
SHOWN = 10
"""Failed runs that the end of a sweep names, and runs that a round of it does."""


class FailedRunsError(TrainingError):
    """Some runs of a sweep failed."""


class SweepRun:
    """This process's part of a sweep; other processes may take part in the same one.

    Attributes:
        parent: id of the sweep's run, once it has begun.
        lacking: what the store lacks of it and of its runs, or "".

    Args:
        job: of the sweep's run.
        tags: of a new one, its identity among them.
        tasks: all of the sweep, as they were planned.
        launch: of those that are to be run; later ones use its launcher.
        at_once: jobs that the launcher gets at a time; None: all of them.
        retry: the command that repeats those that fail.
        seeds: which tasks the results so far ask for besides.
    """

    def __init__(
        self,
        job: Job,
        tags: Mapping[str, str],
        tasks: Sequence[Task],
        launch: Launch,
        archive: Archive,
        at_once: int | None,
        retry: str,
        seeds: Seeds,
    ) -> None:
        self.job = job
        self.tags = tags
        self.tasks = tasks
        self.archive = archive
        self.retry = retry
        self.identity = tags[parent_run.IDENTITY]
        self.seeds = seeds
        self.settings = tasks[0].config.sweep
        self.parent = ""
        self.lacking: list[str] = []
        self._stops = self.settings.on_failure == "stop"
        self._at_once = at_once or (1 if self._stops else len(tasks))
        self._others = Others(archive, tasks[0].config.tracking)
        self._left_to_another = False
        self._first = launch
        self._has_queue = isinstance(launch.launcher, QueueLauncher)
        self._launches: list[Launch] = []

    @property
    def is_left(self) -> bool:
        """Whether jobs were left in the launcher's queue, or to another process."""
        return self._left_to_another or any(launch.left for launch in self._launches)

    def finish(self, store: Store) -> list[FaeError]:
        """Run what is left of the sweep; returns its problems.

        The sweep's run is a new one, that of an earlier sweep of the same runs, or that of another
        process, which is joined. If that process crashes, this one takes its place.
        """
        problems: list[FaeError] = []
        is_over = False
        while not is_over:
            try:
                is_over = self._run(store)
            except FailedRunsError as error:
                problems.append(error)
                is_over = True
        for launch in self._launches:
            self.lacking += launch.lacking.values()
        return problems

    def _run(self, store: Store) -> bool:
        """Run the sweep, or join another process; whether the sweep has ended.

        Raises:
            FailedRunsError: some runs of the sweep failed, now or before.
        """
        parameters = parent_run.shared([task.config.parameters() for task in self.tasks])
        with begin(
            store,
            self.job,
            lambda: _known(self.archive, self.tasks, self.identity),
            kind="sweep",
            subject=parent_run.subject(self.identity, rerun=self.settings.rerun),
            tags=self.tags,
            parameters=parameters,
        ) as (run, found):
            if run:
                self.parent = run.id
                parent_run.record(run, self.tasks)
                parent_run.adopt(run, self.tasks)
                self._launch_rounds(run.set_tags)
                run.is_unfinished = self.is_left
                parent_run.adopt(run, self._now())
                self._raise_failures()
        if run:
            self.lacking.append(run.lacking)
            return True
        assert found.run
        self.parent = found.run.id
        return found.state != State.RUNNING or self._join(found.run)

    def _join(self, sweep: StoredRun) -> bool:
        """Take part in another process's sweep; whether it ended with its process.

        Where jobs wait in a queue, that process alone submits them, or each would be there twice.
        """
        running = f"this sweep is running in another process, run {sweep.id[:8]}"
        if self.settings.detach:
            self._left_to_another = self._others.is_alive(sweep)
            if self._left_to_another:
                say(f"{running}: its jobs are left to that process")
            return self._left_to_another
        say(f"{running}: joining it")
        self.job.folder.mkdir(parents=True, exist_ok=True)
        with defer_signals(), allow_signals():  # as within a run of its own
            if self._has_queue:
                ended = self._others.wait_for_end(sweep, self._watch)
            else:
                self._launch_rounds()
                ended = self._others.wait_for_end(sweep)
        if ended.status == "KILLED" or ended.is_withdrawn:
            return False
        self._raise_failures()
        return True

    def _watch(self) -> None:
        """Watch the jobs that another process has in the queue, if any."""
        self._add_round()
        queued = [task for task in self._planned(self.tasks) if task.state == State.QUEUED]
        ours = self._ended_badly()
        if left := [task for task in queued if task.fingerprint not in ours]:
            self._launch(left, tag=lambda _: None)

    def _launch_rounds(self, tag: Tag = lambda _: None) -> None:
        """Launch all jobs, and then those that their results ask for, until there are no more."""
        tasks = self.tasks
        while tasks:
            self._launch_all(tasks, tag)
            if self.is_left or (self._stops and self._failures()):
                return
            tasks = self._add_round()
            tag(parent_run.size(self.tasks))

    def _add_round(self) -> Sequence[Task]:
        """The jobs that the results so far ask for, which are part of the sweep from now on."""
        own = JobGroup(self.parent, 0.0, [])
        more = self.seeds.more(look_up(self.tasks, self.archive, self.settings, own))
        if more:
            names = shortened([task.name for task in more], SHOWN)
            say(f"not decided yet, one more seed each: {names}")
        self.tasks = [*self.tasks, *more]
        return more

    def _launch_all(self, tasks: Sequence[Task], tag: Tag) -> None:
        """Launch jobs, and then those whose process elsewhere turns out to have crashed."""
        to_run = [task for task in self._planned(tasks) if task.to_run]
        while True:
            if to_run:
                self._launch(to_run, tag)
            if self.is_left or self.settings.rerun or (self._stops and self._failures()):
                return
            now, ours = self._look_up(tasks), self._ended_badly()
            begun = [task for task in now if task.run and task.fingerprint not in ours]
            to_run = [task for task in begun if task.to_run]  # interrupted elsewhere meanwhile
            if not to_run:
                running = [task for task in now if task.state == State.RUNNING]
                to_run = self._others.wait(running, self._look_up)
            if not to_run:
                return

    def _launch(self, tasks: Sequence[Task], tag: Tag) -> None:
        is_first = not self._launches and [*tasks] == [*self._first.tasks]
        launch = self._first if is_first else Launch(self._first.launcher, tasks)
        self._launches.append(launch)
        launch.run(
            self._at_once,
            self.parent,
            self.job.folder,
            self.archive,
            kind=self.seeds.kind,
            stop_at_failure=self._stops,
            colours=_colours(self.tasks, tasks),
            tag=tag,
        )

    def _planned(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Tasks as planned, or with what another process has begun or submitted since."""
        if self._has_queue:
            known = self._look_up(tasks)
            return attach(known, self._first.launcher, self.archive, self.identity)
        return self._look_up(tasks) if self._launches else tasks

    def _now(self) -> list[Task]:
        return self._look_up(self.tasks)

    def _look_up(self, tasks: Sequence[Task]) -> list[Task]:
        return look_up(tasks, self.archive, self.settings)

    def _ended_badly(self) -> set[str]:
        """Fingerprints of the tasks that this process has launched and that did not end well."""
        return {
            launch.tasks[number].fingerprint
            for launch in self._launches
            for number in (*launch.failures, *launch.lacking)
        }

    def _failures(self) -> dict[str, str]:
        """Why runs failed now, by their fingerprints."""
        return {
            launch.tasks[number].fingerprint: cause
            for launch in self._launches
            for number, cause in launch.failures.items()
        }

    def _raise_failures(self) -> None:
        """Raise if some runs of the sweep failed, now or before.

        Raises:
            FailedRunsError: names them, and the command that retries them.
        """
        tasks, failures = self._now(), self._failures()
        causes = []
        for task in tasks:
            if task.state != State.DONE and task.fingerprint in failures:
                causes.append(f"{task.name}: {failures[task.fingerprint]}")
            elif task.state == State.FAILED and task.run:
                causes.append(f"{task.name}: failed before: {task.run.cause}")
            elif task.state == State.RUNNING and not self.is_left:
                causes.append(f"{task.name}: {task.describe()}")
        if causes:
            raise FailedRunsError(_failure(causes, len(tasks), self.retry))


def _known(archive: Archive, tasks: Sequence[Task], identity: str) -> Known:
    """What the store knows of sweeps of this identity; the newest is the one to resume."""
    if tasks[0].config.sweep.rerun:
        return Known()
    sweeps = archive.alike("sweep", [identity]).get(identity, [])
    for sweep in sweeps:
        if sweep.status == "RUNNING":
            return Known(state=State.RUNNING, run=sweep)
    if not sweeps:
        return Known()
    is_done = sweeps[-1].status == "FINISHED" and not any(task.to_run for task in tasks)
    return Known(state=State.DONE if is_done else State.RESUMABLE, run=sweeps[-1])


def _colours(tasks: Sequence[Task], launched: Sequence[Task]) -> list[str]:
    """Colours in the UI of the tasks that are launched: of n as in reports, unless all have one.

    Args:
        tasks: all of the sweep.
    """
    from fae.drawing import looks

    of_n = looks.in_order(task.config.hidden for task in tasks)
    apart = looks.apart(task.fingerprint for task in tasks)
    return [
        (of_n[task.config.hidden] if len(of_n) > 1 else apart[task.fingerprint]).colour
        for task in launched
    ]


def _failure(causes: Sequence[str], runs: int, retry: str) -> str:
    """What the sweep ends with: the runs that failed, and the command that retries them."""
    more = [f"and {len(causes) - SHOWN} more"] if len(causes) > SHOWN else []
    lines = [f"  {line}" for line in [*causes[:SHOWN], *more]]
    remedy = f"retry them, once the cause is fixed, with:\n{retry}"
    return "\n".join([f"{len(causes)} of {runs} runs failed", *lines, remedy])
