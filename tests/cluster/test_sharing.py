"""Hosts that share a server and nothing else: what one computes, no other computes as well."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest
from conftest import NO_LOCAL, PROJECT
from mlflow import MlflowClient
from mlflow.entities import Run
from soaking import Soak

from cluster.conftest import HostMaker
from cluster.host import Host
from cluster.servers import PASSWORD, PostgreSQL, Server
from cluster.starters import AT_ONCE

SMOKE = ("experiment=smoke", "tracking.silence_s=10")
END_S = 400.0
"""How long commands may take on a busy machine."""


def runs(server: Server, experiment: str, kind: str) -> list[Run]:
    client = MlflowClient(server.address)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return [*client.search_runs([found.experiment_id], f"tags.`fae.kind` = '{kind}'")]


def until(holds: Callable[[], object], seconds: float = END_S) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def attempts(run: Run) -> int:
    return sum(name.startswith("fae.attempt.") for name in run.data.params)


def test_a_sweep_that_many_begin_at_once_computes_each_run_once(
    host: HostMaker, server: Server, tmp_path: Path, soak: Soak
) -> None:
    """A sweep that 4 hosts begin at once, 5 commands on each: every run is computed once."""
    rounds, names = soak.times(1, 20), ["north", "east", "south", "west"]
    command = ["fae.train", "-m", "hidden=4,8", "seed=0,1", *SMOKE, NO_LOCAL]
    together = tmp_path / "together"
    together.mkdir()
    environment = {
        **server.environment,
        "PYTHONPATH": f"{PROJECT}:{PROJECT}/tests",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "100",  # 20 clients at once, and two cores for all
    }
    for name in names:
        starters = ["python", "-m", "cluster.starters", f"{together}", f"{rounds}", *command]
        host(name).popen(*starters, environment=environment, log=together / "log")
    for number in range(rounds):
        until(lambda: all((together / f"{n}.ready.{number}").exists() for n in names))  # noqa: B023
        (together / f"go.{number}").touch()
        until(lambda: all((together / f"{n}.{number}").exists() for n in names))  # noqa: B023
        ended = [
            json.loads(line)
            for name in names
            for line in (together / f"{name}.{number}").read_text().splitlines()
        ]
        assert [(code, said) for code, said in ended if code] == []
        assert len(ended) == len(names) * AT_ONCE
        (sweep,) = runs(server, f"round {number}", "sweep")
        found = runs(server, f"round {number}", "run")
        assert [run.info.status for run in [sweep, *found]] == ["FINISHED"] * 5
        assert len({run.data.tags["fae.fingerprint"] for run in found}) == 4
        assert {run.data.tags["mlflow.parentRunId"] for run in found} == {sweep.info.run_id}
        assert [attempts(run) for run in [sweep, *found]] == [1] * 5
    soak.tell(f"{rounds} of {rounds} rounds: each of the 4 runs once, all 20 commands ended by 0")


def live(here: Host, environment: Mapping[str, str], folder: Path) -> "subprocess.Popen[str]":
    """A run that goes on for long."""
    arguments = ["hidden=4", "epochs=100000", *SMOKE, f"hydra.run.dir={folder}"]
    return here.fae("train", *arguments, environment=environment, log=folder.with_name("live.log"))


@pytest.mark.parametrize("other", ["same name, hidden", "hidden", "without locks"])
def test_a_live_run_is_left_alone(
    host: HostMaker, server: Server, tmp_path: Path, soak: Soak, other: str
) -> None:
    """A live run is not closed by a plan of another machine, whatever that sees of its folder."""
    project = tmp_path / "project"
    project.mkdir()
    experiment = f"live, {other}"
    environment = {**server.environment, "MLFLOW_EXPERIMENT_NAME": experiment}
    live(host("one"), environment, project / "run")
    until(lambda: any("val/mse" in run.data.metrics for run in runs(server, experiment, "run")))
    seen = {"apart": [project]} if other == "without locks" else {"hidden": [project]}
    same: dict[str, dict[str, str]] = {"identity": {}} if other == "same name, hidden" else {}
    looking = host("two" if not same else "one-again", **seen, **same)
    tries = soak.times(1, 50)
    for _ in range(tries):
        plan = ["hidden=4", "epochs=100000", *SMOKE, "sweep.plan_only=true"]
        said, error = looking.fae("train", *plan, environment=environment).communicate(
            timeout=END_S
        )
        assert "running in another process" in said, said + error
        (run,) = runs(server, experiment, "run")
        assert (run.info.status, attempts(run)) == ("RUNNING", 1)
    soak.tell(f"{other}: closed in 0 of {tries} tries")


@pytest.mark.parametrize("seen", [True, False])
def test_a_run_of_a_machine_that_died_is_taken_over(
    host: HostMaker, server: Server, tmp_path: Path, seen: bool
) -> None:
    """From its checkpoint where its folder is seen, and from the beginning where it is not.

    It has died before its first checkpoint was uploaded.
    """
    project = tmp_path / "project"
    project.mkdir()
    experiment = f"died, {seen}"
    environment = {**server.environment, "MLFLOW_EXPERIMENT_NAME": experiment}
    dying = live(host("one"), environment, project / "run")
    until(lambda: any("val/mse" in run.data.metrics for run in runs(server, experiment, "run")))
    dying.send_signal(signal.SIGKILL)
    (left,) = runs(server, experiment, "run")
    where = {"apart": [project]} if seen else {"hidden": [project]}
    arguments = ["hidden=4", "epochs=100000", *SMOKE]
    log = tmp_path / "other.log"
    host("two", **where).fae("train", *arguments, environment=environment, log=log)

    def states() -> dict[bool, tuple[str, int]]:
        """Status and attempts of the run that was left, and of another one."""
        return {
            run.info.run_id == left.info.run_id: (run.info.status, attempts(run))
            for run in runs(server, experiment, "run")
        }

    resumed = {True: ("RUNNING", 3)}
    begun = {True: ("KILLED", 2), False: ("RUNNING", 1)}
    until(lambda: states() == (resumed if seen else begun))
    assert "no sign of life for 10 s; taken over" in log.read_text()


def test_a_study_survives_the_death_of_each_of_its_processes(
    host: HostMaker,
    server: Server,
    postgresql: PostgreSQL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    soak: Soak,
) -> None:
    """A study that 4 processes on 2 hosts share, each killed once: all trials, none twice."""
    trials = soak.times(12, 40)
    database = postgresql.database("study").replace(f":{PASSWORD.replace(' ', '%20')}", "")
    environment = {
        **server.environment,
        "MLFLOW_EXPERIMENT_NAME": "study",
        "PGPASSWORD": PASSWORD,
        "OMP_NUM_THREADS": "1",
    }
    settings = [f"search.trials={trials}", "search.sampler=random", f"search.storage={database}"]
    hosts = [host(name) for name in ("one", "two")]

    def search(number: int) -> "subprocess.Popen[str]":
        log = tmp_path / f"{number}.log"
        arguments = ["hidden=4", *SMOKE, *settings]
        return hosts[number % 2].fae("search", *arguments, environment=environment, log=log)

    def begun() -> int:
        return len(runs(server, "study", "trial"))

    processes = [search(number) for number in range(4)]
    chance = random.Random(0)
    for number in range(4):
        until(lambda: begun() > number)  # noqa: B023
        time.sleep(chance.random())
        processes[number].send_signal(signal.SIGKILL)
        processes[number] = search(number)
    for process in processes:
        process.wait(END_S)
    logs = "\n".join((tmp_path / f"{number}.log").read_text() for number in range(4))
    assert [process.returncode for process in processes] == [0] * 4, logs
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    storage = optuna.storages.RDBStorage(database)
    (study,) = storage.get_all_studies()
    found = storage.get_all_trials(study._study_id)
    storage.engine.dispose()
    assert [trial.number for trial in found] == [*range(trials)]
    assert {trial.state.name for trial in found} <= {"COMPLETE", "PRUNED"}
    assert len({json.dumps(trial.params) for trial in found}) == trials
    soak.tell(f"{trials} of {trials} trials, each with values of its own, 4 kills")
