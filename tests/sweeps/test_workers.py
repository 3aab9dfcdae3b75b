"""joblib's processes: how many, in how many threads, and on which GPU."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from filelock import FileLock
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from fae.config import Config
from fae.sweeps import workers
from fae.sweeps.workers import begin_worker, share_machine, visible_devices

CPU, GPU = (
    [cast("Config", SimpleNamespace(trainer=SimpleNamespace(accelerator=accelerator)))]
    for accelerator in ("cpu", "gpu")
)
BOUNDS = ("LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
TELL_WHEN_BOTH_RUN = """
touch $0/$$.runs
until [ $(ls $0/*.runs | wc -l) = 2 ]; do sleep 0.01; done
echo $OMP_NUM_THREADS $CUDA_VISIBLE_DEVICES
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*BOUNDS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def slots() -> Iterator[list[FileLock]]:
    """What the processes that the test plays hold; emptied when they end."""
    yield workers._slots
    workers._slots.clear()


def machine(monkeypatch: pytest.MonkeyPatch, *, cores: int = 1, gpus: int = 0) -> None:
    monkeypatch.setattr("fae.runtime.processor.cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    # So that loky, which would count those of this machine, allows for as many.
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


@pytest.mark.parametrize(
    ("cores", "n_jobs", "at_once", "threads"),
    [(4, 2, 2, 2), (5, 2, 2, 2), (4, -1, 4, 1), (4, 3, 3, 1), (2, 2, 2, 1), (8, 1, 1, 8)],
)
def test_processes_times_threads_are_at_most_the_cores(
    cores: int,
    n_jobs: int,
    at_once: int,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, cores=cores)
    launcher = JoblibLauncher(n_jobs=n_jobs)
    share_machine(launcher, CPU, tmp_path)
    assert launcher.joblib["n_jobs"] == at_once
    begin_worker(*launcher.joblib["initargs"])
    assert {os.environ[variable] for variable in BOUNDS} == {f"{threads}"}


def test_more_processes_than_cores_are_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, cores=2)
    launcher = JoblibLauncher(n_jobs=5)
    share_machine(launcher, CPU, tmp_path)
    assert launcher.joblib["n_jobs"] == 2
    warned = capsys.readouterr().out
    assert "hydra.launcher.n_jobs=5: more than the cores; 2 runs at a time" in warned


def test_a_process_divides_its_share_among_those_that_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 cores 4 go to each of two processes, and 2 of these to each of two that it starts."""
    machine(monkeypatch, cores=8)
    outer, inner = JoblibLauncher(n_jobs=2), JoblibLauncher(n_jobs=2)
    share_machine(outer, CPU, tmp_path)
    begin_worker(*outer.joblib["initargs"])
    machine(monkeypatch, cores=int(os.environ["LOKY_MAX_CPU_COUNT"]))
    share_machine(inner, CPU, tmp_path)
    begin_worker(*inner.joblib["initargs"])
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_fewer_threads_stay_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cores=4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # as OMP_NUM_THREADS=1 has it
    launcher = JoblibLauncher(n_jobs=2)
    share_machine(launcher, CPU, tmp_path)
    begin_worker(*launcher.joblib["initargs"])
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_joblib_starts_such_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would leave as many threads to each as the environment says."""
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-8f,5")
    machine(monkeypatch, cores=4, gpus=2)  # the last of the three does not exist
    launcher = JoblibLauncher(n_jobs=2)
    share_machine(launcher, GPU, tmp_path)
    told = Parallel(backend="loky", **launcher.joblib)(
        delayed(subprocess.check_output)(["sh", "-c", TELL_WHEN_BOTH_RUN, tmp_path], text=True)
        for _ in range(2)
    )
    get_reusable_executor().shutdown()
    assert sorted(told) == ["2 3\n", "2 GPU-8f\n"]


@pytest.mark.parametrize("named", [None, "", "2", "1,0,7"])
def test_gpus_are_named_as_the_environment_names_them(
    named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = {None: 2, "": 0, "2": 1, "1,0,7": 3}[named]
    machine(monkeypatch, gpus=gpus)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    expected = {None: ["0", "1"], "": [], "2": ["2"], "1,0,7": ["1", "0", "7"]}
    assert visible_devices() == expected[named]


def test_more_processes_than_gpus_take_turns_and_a_dead_ones_is_free_again(
    tmp_path: Path, slots: list[FileLock]
) -> None:
    def device() -> str:
        begin_worker(1, 1, ["0", "1"], tmp_path)
        return os.environ["CUDA_VISIBLE_DEVICES"]

    assert [device() for _ in range(4)] == ["0", "1", "0", "1"]
    del slots[1]
    assert device() == "1"


def test_runs_on_the_cpu_see_what_this_process_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, cores=2, gpus=2)
    launcher = JoblibLauncher(n_jobs=2)
    share_machine(launcher, CPU, tmp_path)
    begin_worker(*launcher.joblib["initargs"])
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
