"""Sweeps on a real Slurm: slurmctld and slurmd on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import NO_LOCAL, PROJECT
from mlflow import MlflowClient
from mlflow.entities import Run
from soaking import Soak

from cluster.conftest import installed
from cluster.host import ROOT
from cluster.servers import end
from cluster.slurm import Cluster, wait_for

EPOCHS = 300
SETTINGS = (
    NO_LOCAL,
    "experiment=smoke",
    f"epochs={EPOCHS}",
    "hydra/launcher=slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=2",
    "hydra.launcher.poll_s=2",
)
END_S = 600.0
"""How long commands and jobs may take, on a machine that has other things to do as well."""
HOUR_S = 3600.0
ONE_OF_TWO = "hidden=4,8"
LONG = (
    "hidden=64",
    "epochs=40",
    "data.train=25000",
    "data.val=500",
    "batch_size=4",
    "seed=range(12)",
)
"""12 runs of some minutes each."""
SHORT_LIMIT = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=10")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Slurm; what is not installed is, where apt-get can."""
    if not ROOT:
        pytest.skip("Slurm's daemons need root")
    installed("munged", "munge", "usr/sbin/munged")
    installed("slurmctld", "slurm-wlm", "usr/sbin/slurmctld")
    with tempfile.TemporaryDirectory(prefix="fae-slurm-") as folder:
        try:
            started = Cluster(Path(folder))
        except (OSError, TimeoutError) as error:
            pytest.skip(f"Slurm does not start here: {error}")
        yield started
        started.end()


class Sweep:
    """Commands in one folder, with a store there."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.uri = f"sqlite:///{folder}/mlflow.db"

    def begin(self, *arguments: str, host: str = "") -> subprocess.Popen[str]:
        """Start ``fae.train -m``, on this or on another host."""
        command = [sys.executable, "-m", "fae.train", "-m", *SETTINGS, *arguments]
        if host:
            renamed = f'hostname {host} && exec "$@"'
            command = ["unshare", "--uts", "sh", "-c", renamed, "sh", *command]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **self.cluster.environment, "PYTHONPATH": str(PROJECT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str, host: str = "") -> tuple[int, str]:
        """The exit code and the output of a command."""
        return ended(self.begin(*arguments, host=host))

    def train(self, *arguments: str) -> None:
        """Run ``fae.train -m`` without Slurm, undisturbed, in as many CPUs as a job has."""
        self.folder.mkdir()
        subprocess.run(
            [sys.executable, "-m", "fae.train", "-m", NO_LOCAL, "experiment=smoke", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        )

    def runs(self, varied: str = "hidden") -> dict[str, Run]:
        """The newest run of each value of what varies."""
        client = MlflowClient(self.uri)
        found = client.search_runs(["1"], "tags.`fae.kind` = 'run'")
        return {run.data.params[varied]: run for run in reversed(found)}

    def curve(self, run: Run) -> list[tuple[int, float]]:
        """The errors of a run's epochs, each with its epoch."""
        history = MlflowClient(self.uri).get_metric_history(run.info.run_id, "val/mse")
        return [(metric.step, metric.value) for metric in history]

    def record(self) -> list[dict[str, str]]:
        """The jobs of the newest command that wrote any."""
        files = sorted(self.folder.glob("multirun/*/*/slurm.json"))
        return json.loads(files[-1].read_text()) if files else []

    def jobs(self, count: int) -> list[str]:
        """Ids of the jobs, once so many are submitted."""
        wait_for(lambda: len(self.record()) == count, END_S)
        return [job["job"] for job in self.record()]

    def trains(self, job: str) -> bool:
        """Whether a job is at its epochs."""
        logs = self.folder.glob(f"multirun/*/*/slurm/{job}_0_log.out")
        return any("epoch 5/" in log.read_text() for log in logs)


def ended(process: subprocess.Popen[str], most_s: float = END_S) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=most_s)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    return process.returncode, output


@pytest.fixture
def sweep(cluster: Cluster, tmp_path: Path) -> Sweep:
    return Sweep(cluster, tmp_path)


def test_each_job_has_its_own_fate(sweep: Sweep, tmp_path: Path) -> None:
    """Of 5 jobs two are requeued, one is cancelled, one has too little memory, one cannot begin."""
    ask = sweep.cluster.ask
    command = sweep.begin("hidden=4,8,16,32,64")
    to_requeue, to_cancel, large, broken, to_restart = sweep.jobs(5)
    ask("scontrol", "update", f"JobId={large}", "MinMemoryNode=100")
    (pickled,) = tmp_path.glob(f"multirun/*/*/slurm/{broken}_submitted.pkl")
    pickled.write_bytes(b"no pickle")
    wait_for(lambda: sweep.trains(to_requeue) and sweep.trains(to_cancel), END_S)
    ask("scancel", to_cancel)
    ask("timeout", "3", "scancel", "--signal=USR2", to_requeue)  # once, as before the time limit
    wait_for(lambda: sweep.trains(to_restart), END_S)
    ask("scontrol", "requeue", to_restart)
    code, said = ended(command)
    assert code == 1
    assert "Traceback" not in said
    assert "3 of 5 runs failed" in said
    assert f"cancelled (Slurm job {to_cancel}," in said
    assert "out of memory: the job's limit of 100M is hydra.launcher.mem_gb" in said
    assert f"UnpicklingError: invalid load key, 'n'. (Slurm job {broken}," in said
    runs = sweep.runs()
    statuses = [runs[size].info.status for size in ("4", "8", "16", "32", "64")]
    assert statuses == ["FINISHED", "KILLED", "FAILED", "FAILED", "FINISHED"]
    assert "UnpicklingError" in runs["32"].data.tags["fae.error"]
    alone = Sweep(sweep.cluster, tmp_path / "alone")
    alone.train(f"epochs={EPOCHS}", "hidden=4,64")
    for size, job in (("4", to_requeue), ("64", to_restart)):
        assert _restarts(ask("scontrol", "show", "job", job)) == 1
        assert sweep.curve(runs[size]) == alone.curve(alone.runs()[size])

    code, said = sweep.run("hidden=4,8,16,32,64")
    assert code == 1
    assert f"Slurm job {to_cancel}, cancelled; sweep.retry_failed=true runs it again" in said
    assert "3 of 5 runs failed" in said
    assert sweep.jobs(1) == [to_cancel]

    code, said = sweep.run("hidden=4,8,16,32,64", "sweep.retry_failed=true")
    assert code == 0
    assert {run.info.status for run in sweep.runs().values()} == {"FINISHED"}


def test_a_sweep_whose_jobs_are_interrupted_all_the_time(sweep: Sweep, soak: Soak) -> None:
    """A sweep of 12 runs whose jobs and command are interrupted all the time, on Slurm."""
    if not soak.whole:
        pytest.skip("takes most of an hour: make soak-cluster")
    ask = sweep.cluster.ask
    arguments = [*LONG, *SHORT_LIMIT, "hydra.launcher.requeues=100"]
    command = sweep.begin(*arguments, host="one")
    jobs = sweep.jobs(12)
    first, _, large, running, *_, pending = jobs
    ask("scontrol", "update", f"JobId={large}", "MinMemoryNode=100")
    ask("scancel", pending)
    wait_for(lambda: sweep.trains(first), END_S)
    command.kill()
    ended(command)
    command = sweep.begin(*arguments, host="two")
    wait_for(lambda: sweep.trains(running), HOUR_S)
    ask("scancel", running)
    code, said = ended(command, HOUR_S)
    assert code == 1
    assert "Traceback" not in said
    assert "3 of 12 runs failed" in said
    assert "out of memory: the job's limit of 100M is hydra.launcher.mem_gb" in said
    for job in (running, pending):
        assert f"cancelled (Slurm job {job}," in said
    assert len(list(sweep.folder.glob("multirun/*/*/slurm/*_submitted.pkl"))) == len(jobs)
    runs = sweep.runs("seed")
    statuses = {job: runs[f"{n}"].info.status for n, job in enumerate(jobs) if f"{n}" in runs}
    good = [job for job, status in statuses.items() if status == "FINISHED"]
    assert statuses == {**dict.fromkeys(good, "FINISHED"), large: "FAILED", running: "KILLED"}
    assert len(good) == 9
    restarts = [_restarts(ask("scontrol", "show", "job", job)) for job in good]
    assert min(restarts) >= 3
    alone = Sweep(sweep.cluster, sweep.folder / "alone")
    alone.train(*LONG, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    for job in good:
        seed = str(jobs.index(job))
        assert sweep.curve(runs[seed]) == alone.curve(alone.runs("seed")[seed])
    soak.tell(
        f"9 finished with the bits of undisturbed runs, after {min(restarts)} to {max(restarts)} "
        "requeues each, 2 cancelled, 1 failed with the limit's name; each submitted once"
    )


def _processes(job: str) -> list[psutil.Process]:
    """The processes of a job, those of Slurm itself excepted."""
    array, _, task = job.partition("_")
    wanted = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if wanted.items() <= process.environ().items() and "slurm" not in process.name():
                found.append(process)
    return found


def _restarts(job: str) -> int:
    return int(job.partition("Restarts=")[2].split()[0])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_jobs_outlive_the_command_and_the_same_command_attaches(
    sweep: Sweep, signum: signal.Signals
) -> None:
    command = sweep.begin("hidden=4,8,16", host="one")
    first, _, last = sweep.jobs(3)
    wait_for(lambda: sweep.trains(first), END_S)
    os.kill(command.pid, signum)
    code, said = ended(command)
    if signum == signal.SIGINT:
        assert code == 130
        array = first.partition("_")[0]
        assert "jobs that stay with Slurm: 3; the same command watches them again" in said
        assert f"scancel {array} ends them" in said
    _, plan = sweep.run("hidden=4,8,16", "sweep.plan_only=true", host="two")
    assert f"Slurm job {first}, running" in plan
    assert f"Slurm job {last}, pending" in plan
    code, said = sweep.run("hidden=4,8,16", host="two")
    assert code == 0, said
    assert {job["end"] for job in sweep.record()} == {"COMPLETED"}
    assert len(list(sweep.folder.glob("multirun/*/*/slurm/*_submitted.pkl"))) == 3
    assert [run.info.status for run in sweep.runs().values()] == ["FINISHED"] * 3


def test_the_command_notices_a_lost_job(sweep: Sweep, soak: Soak) -> None:
    """A job whose processes are killed is noticed within half a minute, on Slurm."""
    command = sweep.begin(ONE_OF_TWO, "epochs=100000", "hydra.launcher.poll_s=15")
    lost, other = sweep.jobs(2)
    wait_for(lambda: sweep.trains(lost) and sweep.trains(other), END_S)
    for process in _processes(lost):
        process.kill()
    killed = time.monotonic()
    assert command.stdout
    while "1 running, 1 ended" not in (line := command.stdout.readline()):
        assert line
    noticed_s = time.monotonic() - killed
    sweep.cluster.ask("scancel", other)
    code, _ = ended(command)
    assert code == 1
    assert {size: run.info.status for size, run in sweep.runs().items()} == {
        "4": "FAILED",
        "8": "KILLED",
    }
    assert noticed_s <= 30
    soak.tell(f"after {noticed_s:.0f} s")


def test_a_sweep_may_be_left_to_slurm(sweep: Sweep) -> None:
    code, said = sweep.run(ONE_OF_TWO, "sweep.detach=true")
    assert code == 0
    assert "jobs left to Slurm: 2" in said
    jobs = sweep.jobs(2)
    wait_for(lambda: all(sweep.cluster.states()[job] == "COMPLETED" for job in jobs), END_S)
    report = subprocess.run(
        [sys.executable, "-m", "fae.report", NO_LOCAL],
        cwd=sweep.folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "n = 4" in report.stdout
    code, said = sweep.run(ONE_OF_TWO)
    assert code == 0
    assert "2 runs, 0 to do" in said


def test_a_job_computes_in_its_cpus(sweep: Sweep) -> None:
    code, _ = sweep.run("hidden=4", "epochs=2")
    assert code == 0
    assert sweep.runs()["4"].data.tags["fae.threads"] == "1"


def test_the_time_limit_requeues(sweep: Sweep) -> None:
    """Slurm's own signal, up to a minute before it is due."""
    limit = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=50"]
    code, said = sweep.run("hidden=4", "epochs=1500", *limit)
    assert code == 0, said
    (job,) = sweep.jobs(1)
    assert "Restarts=0" not in sweep.cluster.ask("scontrol", "show", "job", job)
    assert sweep.runs()["4"].info.status == "FINISHED"


def test_what_slurm_refuses_is_told_in_its_words(sweep: Sweep) -> None:
    code, said = sweep.run("hidden=4", "hydra.launcher.partition=none")
    assert code == 2
    assert "Slurm refuses the jobs" in said
    assert "invalid partition specified: none" in said
    assert "Traceback" not in said
    assert shutil.which("sbatch")
