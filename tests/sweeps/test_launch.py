"""Launches: the planned configurations, and what is done when a launcher breaks down."""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from conftest import NO_LOCAL, PROJECT
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fae.config import Config
from fae.errors import ConfigError, Interrupted, StoreError
from fae.runs.job import JobGroup
from fae.runs.task import Task
from fae.sweeps.frozen_loader import FrozenLoader
from fae.sweeps.launch import BY_NUMBER, Launch
from fae.tracking.archive import Archive
from fae.tracking.folder import Link
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]


class Store:
    """Runs as jobs leave them, by a clock that is set back; by the fingerprint of its task."""

    uri = "http://store"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: dict[str, StoredRun] = {}

    def unfinished(self) -> list[StoredRun]:
        return [run for run in self.runs.values() if run.status == "RUNNING"]

    def alike(self, _: str, fingerprints: Sequence[str]) -> dict[str, list[StoredRun]]:
        return {f: [self.runs[f]] for f in fingerprints if f in self.runs}

    def run(self, run_id: str) -> StoredRun:
        return self.runs[run_id]

    def uploader(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(deliver=len)

    def close(self, run: StoredRun, status: str, ended: int, cause: str = "") -> None:
        self.leave(run.id, status, {"fae.error": cause})

    def leave(self, fingerprint: str, status: str, more: dict[str, str] | None = None) -> None:
        folder = self.folder / fingerprint
        if status in ("KILLED", "RUNNING"):
            folder.mkdir(exist_ok=True)
            Link(fingerprint, "", self.uri, "fae", "").write(folder)
        tags = {"fae.folder": str(folder), "fae.host": platform.node(), **(more or {})}
        self.runs[fingerprint] = StoredRun(fingerprint, "", status, 0, 0, {}, {}, tags)


class Fragile:
    """A launcher that breaks down at some jobs, and leaves what was begun as it was.

    Args:
        killers: seeds of jobs that kill the process they run in.
        begun: how many jobs after a killer are under way when it breaks down.
    """

    def __init__(self, store: Store, killers: set[int], begun: int = 1) -> None:
        self.store = store
        self.killers = killers
        self.begun = begun
        self.hydra_context = SimpleNamespace(callbacks=None)
        self.config = OmegaConf.create({"hydra": {"sweep": {"subdir": BY_NUMBER}}})
        self.launched: list[tuple[int, int]] = []
        self.fingerprints: dict[int, str] = {}

    def launch(self, jobs: Sequence[tuple[str, ...]], initial_job_idx: int) -> list[JobReturn]:
        self.launched.append((initial_job_idx, len(jobs)))
        seeds = [int(job[0].removeprefix("seed=")) for job in jobs]
        for place, seed in enumerate(seeds):
            if seed in self.killers:
                for other in seeds[place : place + 1 + self.begun]:
                    self.store.leave(self.fingerprints[other], "KILLED")
                raise RuntimeError("a worker was killed\nby SIGKILL")
            self.store.leave(self.fingerprints[seed], "FINISHED")
        return [JobReturn(status=JobStatus.COMPLETED) for _ in jobs]


def launched(
    tiny: Tiny, folder: Path, killers: set[int], jobs: int = 6, **how: Any
) -> tuple[Launch, Fragile, Store]:
    store = Store(folder)
    launcher = Fragile(store, killers)
    tasks = [Task(tiny(f"seed={seed}"), [f"seed={seed}"]) for seed in range(jobs)]
    launcher.fingerprints = {seed: task.fingerprint for seed, task in enumerate(tasks)}
    launch = Launch(cast("Launcher", launcher), tasks)
    archive, at_once = cast("Archive", store), how.get("at_once", jobs)
    launch.run(at_once, "parent", folder, archive, stop_at_failure=how.get("stop", False))
    return launch, launcher, store


def test_jobs_are_launched_at_once_and_in_order(tiny: Tiny, tmp_path: Path) -> None:
    launch, launcher, _ = launched(tiny, tmp_path, set())
    assert launcher.launched == [(0, 6)]
    assert launch.failures == {}
    assert JobGroup.read(tmp_path) == launch.group


def test_the_launchers_processes_share_the_machine(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Mock()
    monkeypatch.setattr("fae.sweeps.launch.share_machine", shared)
    launch, launcher, _ = launched(tiny, tmp_path, set())
    configs = [task.config for task in launch.tasks]
    shared.assert_called_once_with(launcher, configs, tmp_path)


def test_in_a_folder_that_has_jobs_already_numbers_continue(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("0", "3", "note"):
        (tmp_path / name).mkdir()
    launch, launcher, _ = launched(tiny, tmp_path, {2})
    assert launcher.launched == [(4, 6), (6, 1), (7, 1), (8, 2)]
    assert launch.group.first == 4
    assert list(launch.failures) == [2]


def test_a_limit_makes_batches(tiny: Tiny, tmp_path: Path) -> None:
    _, launcher, _ = launched(tiny, tmp_path, set(), at_once=4)
    assert launcher.launched == [(0, 4), (4, 2)]


def test_of_those_that_a_breakdown_took_along_one_is_to_blame(tiny: Tiny, tmp_path: Path) -> None:
    """Job 2 kills its process while job 3 is under way."""
    launch, launcher, store = launched(tiny, tmp_path, {2})
    assert launcher.launched == [(0, 6), (2, 1), (3, 1), (4, 2)]
    assert launch.failures == {2: "its process died (a worker was killed)"}
    statuses = [store.runs[task.fingerprint].status for task in launch.tasks]
    assert statuses == ["FINISHED", "FINISHED", "FAILED", "FINISHED", "FINISHED", "FINISHED"]


def test_a_launcher_that_begins_nothing_is_an_error(tiny: Tiny, tmp_path: Path) -> None:
    class Broken(Fragile):
        def launch(self, jobs: Sequence[tuple[str, ...]], initial_job_idx: int) -> list[JobReturn]:
            raise RuntimeError("no such partition")

    launcher = Broken(Store(tmp_path), set())
    tasks = [Task(tiny(f"seed={seed}"), [f"seed={seed}"]) for seed in range(2)]
    archive = cast("Archive", launcher.store)
    launch = Launch(cast("Launcher", launcher), tasks)
    with pytest.raises(RuntimeError, match="no such partition"):
        launch.run(2, "parent", tmp_path, archive, stop_at_failure=False)


def test_the_others_are_not_begun_once_one_failed_if_so_wanted(tiny: Tiny, tmp_path: Path) -> None:
    launch, launcher, _ = launched(tiny, tmp_path, {1}, at_once=1, stop=True)
    assert launcher.launched == [(0, 1), (1, 1)]
    assert list(launch.failures) == [1]


@pytest.fixture
def loader() -> ConfigLoader:
    """Hydra's own."""
    try:
        with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            return GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().clear()


def of_a_sweep(loader: ConfigLoader, *more: str) -> DictConfig:
    overrides = [NO_LOCAL, "experiment=smoke", "hidden=8,16", *more]
    return loader.load_configuration("config", overrides, RunMode.MULTIRUN)


def test_jobs_are_told_what_was_planned_whatever_conf_says_now(
    tiny: Tiny, loader: ConfigLoader
) -> None:
    """As Hydra's own loader tells it, Hydra's section included."""
    overrides = [NO_LOCAL, "experiment=smoke", "hidden=8", "optimizer=adam"]
    master = of_a_sweep(loader)
    folder = master.hydra.sweep.dir
    theirs = loader.load_sweep_config(master, overrides)
    choices = dict(theirs.hydra.runtime.choices)
    frozen = FrozenLoader([Task(tiny(*overrides[2:]), overrides, choices)])
    ours = frozen.load_sweep_config(master, overrides)
    assert ours.optimizer.betas == theirs.optimizer.betas
    assert ours.keys() == theirs.keys() - {"search"}  # which brings the range of a learning rate
    assert ours.hydra.mode == RunMode.RUN
    for section in ("job", "runtime", "overrides"):
        assert ours.hydra[section] == theirs.hydra[section]
    assert ours.hydra.sweep.dir == theirs.hydra.sweep.dir == folder


def folders(launch: Launch) -> list[str]:
    """Where the tasks' files go, within the sweep's folder."""
    master = launch.launcher.config  # type: ignore[attr-defined]
    nodes = [launch.frozen.load_sweep_config(master, task.overrides) for task in launch.tasks]
    return [node.hydra.sweep.subdir for node in nodes]


def test_folders_may_be_named_after_what_differs(
    tiny: Tiny, tmp_path: Path, loader: ConfigLoader
) -> None:
    launcher = Fragile(Store(tmp_path), set())
    launcher.config = of_a_sweep(loader, "hydra.sweep.subdir=${hydra.job.override_dirname}")
    tasks = [Task(tiny(f"seed={seed}"), [f"seed={seed}"]) for seed in range(2)]
    assert folders(Launch(cast("Launcher", launcher), tasks)) == ["seed=0", "seed=1"]


def test_a_folder_for_all_is_refused(tiny: Tiny, tmp_path: Path, loader: ConfigLoader) -> None:
    launcher = Fragile(Store(tmp_path), set())
    launcher.config = of_a_sweep(loader, "hydra.sweep.subdir=here")
    tasks = [Task(tiny(f"seed={seed}"), [f"seed={seed}"]) for seed in range(2)]
    with pytest.raises(ConfigError, match=r"^hydra.sweep.subdir=here: is here for .* and for"):
        Launch(cast("Launcher", launcher), tasks)


class Interrupting(Fragile):
    """A launcher that a signal ends while its process is at a job."""

    def launch(self, jobs: Sequence[tuple[str, ...]], initial_job_idx: int) -> list[JobReturn]:
        self.store.leave(self.fingerprints[0], "RUNNING")
        raise Interrupted(2)


def interrupted(tiny: Tiny, store: Store) -> Task:
    """A task that a signal ended, with its launcher."""
    launcher = Interrupting(store, set())
    one = Task(tiny(), [])
    launcher.fingerprints = {0: one.fingerprint}
    launch = Launch(cast("Launcher", launcher), [one])
    with pytest.raises(Interrupted):
        launch.run(1, "parent", store.folder, cast("Archive", store), stop_at_failure=False)
    return one


def test_no_run_is_left_running_by_a_signal(tiny: Tiny, tmp_path: Path) -> None:
    store = Store(tmp_path)
    task = interrupted(tiny, store)
    assert store.runs[task.fingerprint].status == "KILLED"


def test_a_signal_ends_a_sweep_quietly_while_the_store_is_away(tiny: Tiny, tmp_path: Path) -> None:
    """A traceback of the thread that closes runs would be a warning, and so an error."""

    class Away(Store):
        def unfinished(self) -> list[StoredRun]:
            raise StoreError("no MLflow server answers there")

    store = Away(tmp_path)
    task = interrupted(tiny, store)
    assert store.runs[task.fingerprint].status == "RUNNING"
