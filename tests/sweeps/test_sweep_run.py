"""A sweep that several processes run at the same time: they share its runs, and one its end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fae.config import Config
from fae.runs import others
from fae.runs.begin import begin
from fae.runs.job import Job, JobGroup
from fae.runs.others import Others
from fae.runs.task import Known, QueuedJob, State, Task, look_up
from fae.sweeps import parent_run, sweep_run
from fae.sweeps.launch import Launch
from fae.sweeps.seeds import Repeats, Seeds
from fae.sweeps.sweep_run import SweepRun
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.liveness import Watch
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
Between = Callable[[int], object]


class Work:
    """Stands for the launch of some tasks, each a run without training.

    Args:
        between: called with a task's number before its run begins.
    """

    launcher = None

    def __init__(self, tasks: Sequence[Task], folder: Path, between: Between) -> None:
        self.tasks, self.folder, self.between = tasks, folder, between
        self.failures: dict[int, str] = {}
        self.lacking: dict[int, str] = {}
        self.left = 0
        self.done: list[str] = []

    def run(self, _: int, parent: str, *__: object, **___: object) -> None:
        for number, task in enumerate(self.tasks):
            self.between(number)
            self.one(task, Job(task.name, self.folder / str(number), "", JobGroup(parent, 0, [1])))

    def one(self, task: Task, job: Job) -> None:
        tracking = task.config.tracking

        def known() -> Task:
            return look_up([task], Archive(tracking), task.config.sweep)[0]

        tags = {"fae.fingerprint": task.fingerprint}
        subject = f"run {task.fingerprint}"
        with begin(Store(tracking), job, known, kind="run", subject=subject, tags=tags) as (one, _):
            if one:
                one.log_metrics({"test/mse": 1.0}, step=1)
                self.done.append(task.name)


class Queue:
    """A launcher's queue, which has jobs for the first so many tasks."""

    def __init__(self, jobs: int) -> None:
        self.tag: Callable[[Mapping[str, str]], object] = lambda _: None
        self.jobs = jobs

    def check(self) -> None:
        """All is well."""

    def attach(self, tasks: Sequence[Task], _: Archive | None, __: str) -> list[Task]:
        job = QueuedJob("8", "", "running")
        queued = [replace(task, state=State.QUEUED, job=job) for task in tasks[: self.jobs]]
        return [*queued, *tasks[self.jobs :]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "POLL_S", 0.0)


@pytest.fixture
def tasks(tmp_path: Path, empty_store: bytes, tiny: Tiny) -> list[Task]:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    config = tiny()
    tracking = replace(config.tracking, uri=f"sqlite:///{tmp_path}/mlflow.db")
    config = replace(config, tracking=tracking)
    Store(tracking)
    return [Task(replace(config, seed=seed), [f"seed={seed}"]) for seed in range(3)]


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks of later launches."""
    launched: list[Task] = []

    def launch(_: object, tasks: Sequence[Task]) -> Work:
        launched.extend(tasks)
        return Work(tasks, tmp_path / "later", lambda _: None)

    monkeypatch.setattr(sweep_run, "Launch", launch)
    return launched


def tracking_of(tasks: Sequence[Task]) -> TrackingConfig:
    return tasks[0].config.tracking


def shared(
    tasks: Sequence[Task],
    folder: Path,
    between: Between = lambda _: None,
    planned: Sequence[Task] | None = None,
    seeds: Seeds | None = None,
) -> tuple[SweepRun, Work]:
    work = Work(tasks if planned is None else planned, folder, between)
    job = Job("sweep", folder, "")
    archive = Archive(tracking_of(tasks))
    tags = {"fae.fingerprint": parent_run.identity(task.fingerprint for task in tasks)}
    launch, seeds = cast("Launch", work), seeds or Repeats(tasks)
    return SweepRun(job, tags, tasks, launch, archive, None, "retry", seeds), work


def sweeps(tasks: Sequence[Task]) -> list[StoredRun]:
    return Archive(tracking_of(tasks)).runs("sweep")


def test_a_second_process_takes_the_runs_that_are_left(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for the end of the first one's sweep, which is the parent of all."""
    waited: list[str] = []

    def wait_for_end(_: Others, sweep: StoredRun) -> StoredRun:
        waited.append(sweep.status)
        return replace(sweep, status="FINISHED")

    monkeypatch.setattr(Others, "wait_for_end", wait_for_end)
    second, others_work = shared(tasks, tmp_path / "second")

    def join(number: int) -> None:
        if number == 1:
            assert second.finish(Store(tracking_of(tasks))) == []

    first, work = shared(tasks, tmp_path / "first", join)
    assert first.finish(Store(tracking_of(tasks))) == []
    assert [name[-1:] for name in work.done] == ["0"]
    assert [name[-1:] for name in others_work.done] == ["1", "2"]
    (sweep,) = sweeps(tasks)
    assert (sweep.id, sweep.status, waited) == (first.parent, "FINISHED", ["RUNNING"])
    assert second.parent == first.parent
    runs = Archive(tracking_of(tasks)).runs("run")
    assert [(stored.status, stored.parent) for stored in runs] == [("FINISHED", sweep.id)] * 3


def test_a_sweep_whose_process_died_elsewhere_is_taken_over(
    tasks: list[Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(others, "Watch", lambda _: Watch(0))
    store = Store(tracking_of(tasks))
    identity = parent_run.identity(task.fingerprint for task in tasks)
    tags = {"fae.kind": "sweep", "fae.fingerprint": identity, "fae.boot": "another/boot"}
    died = store._client.create_run(store.experiment_id, tags=tags).info.run_id
    ours, work = shared(tasks, tmp_path / "ours")
    assert ours.finish(store) == []
    assert len(work.done) == 3
    (sweep,) = sweeps(tasks)
    assert (sweep.id, sweep.status, len(sweep.attempts)) == (died, "FINISHED", 2)
    assert "no sign of life for 0.0 s; taken over" in capsys.readouterr().out


@pytest.mark.parametrize("planned", [1, 3])
def test_a_run_that_dies_elsewhere_is_launched_here(
    tasks: list[Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    launched: list[Task],
    planned: int,
) -> None:
    """As soon as its process is known to have crashed, also where it is the only one."""
    first, *rest = tasks[:planned]
    tried: list[Sequence[Task]] = []

    def wait(_: Others, tasks: Sequence[Task], __: object) -> Sequence[Task]:
        tried.append(tasks)
        return [first] if len(tried) == 1 else []

    monkeypatch.setattr(Others, "wait", wait)
    ours, work = shared(tasks[:planned], tmp_path / "ours", planned=rest)
    ours.tasks = [replace(first, state=State.RUNNING), *rest]
    assert ours.finish(Store(tracking_of(tasks))) == []
    assert (len(work.done), len(tried)) == (len(rest), 2)
    assert [task.name for task in launched] == [first.name]


def test_a_run_that_was_elsewhere_and_is_interrupted_before_all_are_done_is_launched_here(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has waited for it yet, so nobody has seen it RUNNING last."""
    theirs, *rest = tasks
    later: list[Work] = []

    def launch(_: object, tasks: Sequence[Task]) -> Work:
        later.append(Work(tasks, tmp_path / "later", lambda _: None))
        return later[-1]

    monkeypatch.setattr(sweep_run, "Launch", launch)
    ours, work = shared(tasks, tmp_path / "ours")
    begun = begin(
        Store(tracking_of(tasks)),
        Job("theirs", tmp_path / "theirs", ""),
        Known,
        kind="run",
        subject=f"run {theirs.fingerprint}",
        tags={"fae.fingerprint": theirs.fingerprint},
    )
    with ExitStack() as other:
        other.enter_context(suppress(KeyboardInterrupt))
        other.enter_context(begun)

        def interrupt(number: int) -> None:
            if number == 1:
                with suppress(KeyboardInterrupt):
                    other.enter_context(_interrupting())
                    other.close()

        work.between = interrupt
        assert ours.finish(Store(tracking_of(tasks))) == []
    assert (len(work.done), [again.done for again in later]) == (len(rest), [[theirs.name]])


@contextmanager
def _interrupting() -> Iterator[None]:
    yield
    raise KeyboardInterrupt


def test_what_another_command_has_submitted_since_the_plan_is_not_submitted_again(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launched: list[Task]
) -> None:
    monkeypatch.setattr(Work, "launcher", Queue(jobs=2))
    ours, work = shared(tasks, tmp_path / "ours")
    assert ours.finish(Store(tracking_of(tasks))) == []
    assert [task.state for task in launched] == [State.QUEUED, State.QUEUED, State.NEW]
    assert work.done == []


def test_who_joins_a_sweep_with_a_queue_watches_its_jobs_and_submits_none(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launched: list[Task]
) -> None:
    def wait_for_end(_: Others, sweep: StoredRun, watch: Callable[[], object]) -> StoredRun:
        watch()
        return replace(sweep, status="FINISHED")

    monkeypatch.setattr(Others, "wait_for_end", wait_for_end)
    monkeypatch.setattr(Work, "launcher", Queue(jobs=1))
    store = Store(tracking_of(tasks))
    identity = parent_run.identity(task.fingerprint for task in tasks)
    tags = {"fae.kind": "sweep", "fae.fingerprint": identity}
    first = store._client.create_run(store.experiment_id, tags=tags).info.run_id
    second, _ = shared(tasks, tmp_path / "second")
    assert second.finish(store) == []
    assert [task.state for task in launched] == [State.QUEUED]
    assert second.parent == first


class Later(Repeats):
    """Asks for these tasks one by one, each once those before it are done."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__(tasks)
        self.all = tasks

    def more(self, tasks: Sequence[Task]) -> list[Task]:
        assert [task.fingerprint for task in tasks] == [
            task.fingerprint for task in self.all[: len(tasks)]
        ]
        is_done = all(task.state == State.DONE for task in tasks)
        return [*self.all[len(tasks) : len(tasks) + 1]] if is_done else []


def test_what_results_ask_for_is_launched_in_further_rounds_of_one_sweep(
    tasks: list[Task], tmp_path: Path, launched: list[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, work = shared(tasks[:1], tmp_path / "ours", seeds=Later(tasks))
    assert ours.finish(Store(tracking_of(tasks))) == []
    assert (work.done, [t.name for t in launched]) == (
        ["hidden=4 seed=0"],
        ["hidden=4 seed=1", "hidden=4 seed=2"],
    )
    (sweep,) = sweeps(tasks)
    assert (sweep.status, sweep.tags["fae.planned_runs"]) == ("FINISHED", "3")
    assert {run.parent for run in Archive(tracking_of(tasks)).runs("run")} == {sweep.id}
    assert "not decided yet, one more seed each: hidden=4 seed=1\n" in capsys.readouterr().out


def test_a_round_that_fails_is_the_last(
    tasks: list[Task], tmp_path: Path, launched: list[Task]
) -> None:
    ours, work = shared(tasks[:1], tmp_path / "ours", seeds=Later(tasks))
    work.failures[0] = "cause"
    work.run = lambda *_, **__: None  # type: ignore[method-assign]
    (problem,) = ours.finish(Store(tracking_of(tasks)))
    assert "cause" in str(problem)
    assert launched == []


def test_rounds_are_shared_by_processes(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launched: list[Task]
) -> None:
    """One that joins runs further rounds, too, and each run is computed once."""
    monkeypatch.setattr(Others, "wait_for_end", lambda _, sweep: replace(sweep, status="FINISHED"))
    second, others_work = shared(tasks[:1], tmp_path / "second", seeds=Later(tasks))

    def join(_: int) -> None:
        assert second.finish(Store(tracking_of(tasks))) == []

    first, work = shared(tasks[:1], tmp_path / "first", join, seeds=Later(tasks))
    assert first.finish(Store(tracking_of(tasks))) == []
    assert (len(others_work.done), len(work.done)) == (1, 0)
    assert [task.name[-1:] for task in launched] == ["1", "2"]
    assert len(Archive(tracking_of(tasks)).runs("run")) == 3
    (sweep,) = sweeps(tasks)
    assert sweep.tags["fae.planned_runs"] == "3"
