"""Sweeps on a real Slurm: slurmctld and slurmd on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import NO_LOCAL, PROJECT
from mlflow import MlflowClient
from mlflow.entities import Run

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
ONE_OF_TWO = "hidden=4,8"


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

    def runs(self) -> dict[str, Run]:
        """The newest run of each size."""
        client = MlflowClient(self.uri)
        found = client.search_runs(["1"], "tags.`fae.kind` = 'run'")
        return {run.data.params["hidden"]: run for run in reversed(found)}

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


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=END_S)
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
    for size, job in (("4", to_requeue), ("64", to_restart)):
        assert "Restarts=1" in ask("scontrol", "show", "job", job)
        assert runs[size].data.metrics["val/mse"] == undisturbed(tmp_path, size)

    code, said = sweep.run("hidden=4,8,16,32,64")
    assert code == 1
    assert f"Slurm job {to_cancel}, cancelled; sweep.retry_failed=true runs it again" in said
    assert "3 of 5 runs failed" in said
    assert sweep.jobs(1) == [to_cancel]

    code, said = sweep.run("hidden=4,8,16,32,64", "sweep.retry_failed=true")
    assert code == 0
    assert {run.info.status for run in sweep.runs().values()} == {"FINISHED"}


def undisturbed(folder: Path, hidden: str) -> float:
    """The error of a run that nobody interrupts, in a store of its own."""
    own = folder / f"undisturbed{hidden}"
    own.mkdir()
    arguments = [NO_LOCAL, "experiment=smoke", f"epochs={EPOCHS}", f"hidden={hidden}"]
    command = [sys.executable, "-m", "fae.train", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run(command, cwd=own, env=environment, capture_output=True, check=True)
    (run,) = MlflowClient(f"sqlite:///{own}/mlflow.db").search_runs(["1"])
    return float(run.data.metrics["val/mse"])


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
        assert "3 jobs stay with Slurm; the same command watches them again" in said
        assert f"scancel {array} ends them" in said
    _, plan = sweep.run("hidden=4,8,16", "sweep.plan_only=true", host="two")
    assert f"Slurm job {first}, running" in plan
    assert f"Slurm job {last}, pending" in plan
    code, said = sweep.run("hidden=4,8,16", host="two")
    assert code == 0, said
    assert {job["end"] for job in sweep.record()} == {"COMPLETED"}
    assert len(list(sweep.folder.glob("multirun/*/*/slurm/*_submitted.pkl"))) == 3
    assert [run.info.status for run in sweep.runs().values()] == ["FINISHED"] * 3


def test_a_sweep_may_be_left_to_slurm(sweep: Sweep) -> None:
    code, said = sweep.run(ONE_OF_TWO, "sweep.detach=true")
    assert code == 0
    assert "2 jobs are left to Slurm" in said
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
