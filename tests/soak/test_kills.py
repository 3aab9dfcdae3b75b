"""kill -9 at random moments, and the same run again until it is done."""

import multiprocessing
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient
from mlflow.entities import Run

from fae.cli.compose import compose
from fae.config import Config
from fae.runs.tensor_file import load
from fae.tracking.checkpoints import checkpoint_path, saved_epochs
from fae.tracking.folder import LINK
from soak.conftest import Soak

EPOCHS = 8
SETTINGS = (
    ("optimizer.momentum=0.9",),
    ("optimizer=adam", "optimizer.schedule=one_cycle", "dropout=0.3"),
    ("optimizer=adam", "lr=0.5", "trainer.early_stopping=2"),
)
TRIES = 2
"""Runs that may come to their end unkilled before one that does not."""
KILLS = 2
"""Kills of a run before it is left in peace."""

forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["fae.runs.run", "mlflow.pytorch"])


def configured(store: str, experiment: str, *overrides: str) -> Config:
    return compose(
        NO_LOCAL,
        "experiment=smoke",
        "hidden=16",
        f"epochs={EPOCHS}",
        f"tracking.uri='{store}'",
        f"tracking.experiment={experiment}",
        *overrides,
    )


def run(config: Config, folder: Path) -> None:
    """What the train command does with one configuration."""
    from fae.runs.job import Job
    from fae.runs.run import train

    torch.set_num_threads(1)
    train(config, Job("run", folder, ""))


def started(config: Config, folder: Path) -> ForkServerProcess:
    folder.mkdir(parents=True, exist_ok=True)
    process = forkserver.Process(target=run, args=(config, folder))
    process.start()
    return process


def final_state(folder: Path) -> dict[str, Any]:
    """Weights, optimizer and history as the last checkpoint holds them."""
    checkpoint = load(checkpoint_path(folder, saved_epochs(folder)[0]).read_bytes())
    return {
        "weights": checkpoint["state_dict"],
        "optimizer": checkpoint["optimizer_states"],
        "epochs": checkpoint["callbacks"]["History"]["epochs"],
        "stopping": [c for name, c in checkpoint["callbacks"].items() if "Stopping" in name],
    }


def identical(ours: Any, theirs: Any) -> bool:
    """Bit for bit, tensors within dictionaries and lists included."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(identical(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(identical, ours, theirs))
    return bool(ours == theirs)


def different(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """The parts that are not identical."""
    assert ours.keys() == theirs.keys()
    return [part for part in ours if not identical(ours[part], theirs[part])]


def stored(client: MlflowClient, experiment: str) -> dict[str, Any]:
    """The statuses of an experiment's runs, and what the one that matters has stored."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    return {
        "statuses": [run.info.status for run in runs],
        "metrics": metrics_of(client, runs[0]),
    }


def metrics_of(client: MlflowClient, run: Run) -> dict[str, list[tuple[int, float]]]:
    """All metrics but times, by step, none of them twice."""
    metrics = {
        key: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
        if not key.startswith(("time/", "wall_clock/"))
    }
    assert all(len(dict(points)) == len(points) for points in metrics.values())
    return metrics


def files(client: MlflowClient, run: Run, folder: str | None = None) -> list[str]:
    """The paths of a run's artifacts; of pictures without the moments in their names."""
    found: list[str] = []
    for file in client.list_artifacts(run.info.run_id, folder):
        found += files(client, run, file.path) if file.is_dir else [file.path]
    return sorted(re.sub(r"[%+]timestamp[%+].*", "", path) for path in found)


def test_a_run_that_is_killed_and_resumed_is_bit_identical(
    soak: Soak, tmp_path: Path, store_uri: str, client: MlflowClient
) -> None:
    """Killed by SIGKILL at random moments and resumed: the bits of the undisturbed run.

    From its process's first moment on: where there is no run yet, it begins at the next go.
    """
    references, durations = [], []
    started(configured(store_uri, "first"), tmp_path / "first").join()  # makes the store
    for number, overrides in enumerate(SETTINGS):
        folder = tmp_path / f"reference-{number}"
        start = time.monotonic()
        process = started(configured(store_uri, f"reference-{number}", *overrides), folder)
        process.join()
        durations.append(time.monotonic() - start)
        references.append({**final_state(folder), **stored(client, f"reference-{number}")})
    total = soak.times(short=6, whole=200)
    names = [[f"run-{number}-{again}" for again in range(TRIES)] for number in range(total)]
    configs = [  # here, as Hydra composes in one thread at a time
        [configured(store_uri, name, *SETTINGS[number % len(SETTINGS)]) for name in of_run]
        for number, of_run in enumerate(names)
    ]

    def disturbed(number: int) -> tuple[list[str], list[bool]]:
        """What a run came to otherwise, and of each kill whether there was a run by then."""
        moments = random.Random(number)
        setting = number % len(SETTINGS)
        for attempt, (name, config) in enumerate(zip(names[number], configs[number], strict=True)):
            folder = tmp_path / name
            kills: list[bool] = []
            duration = durations[setting] / (1 + attempt)  # it may have been a slow one
            for _ in range(KILLS):
                process = started(config, folder)
                process.join(moments.uniform(0, 1.1) * duration)
                process.kill()
                process.join()
                if process.exitcode == -signal.SIGKILL:
                    kills.append((folder / LINK).exists())
            if kills:
                break
        process = started(config, folder)
        process.join()
        assert process.exitcode == 0
        ours = {**final_state(folder), **stored(client, name)}
        shutil.rmtree(folder)
        return different(ours, references[setting]), kills

    with ThreadPoolExecutor(2) as side_by_side:
        outcomes = list(side_by_side.map(disturbed, range(total)))
    same = sum(not parts for parts, _ in outcomes)
    assert {number: parts for number, (parts, _) in enumerate(outcomes) if parts} == {}
    assert all(kills for _, kills in outcomes)
    kills = [begun for _, of_run in outcomes for begun in of_run]
    soak.tell(
        f"{same} of {total} runs identical in weights, optimizer and metrics; each killed once "
        f"at least, {len(kills)} kills in all, {kills.count(False)} before there was a run"
    )


def test_the_command_resumes_where_it_was_killed(soak: Soak, tmp_path: Path) -> None:
    """The real command line, killed by SIGKILL and given again: the bits of the undisturbed run.

    From its first moment on: where there is no store yet, it begins anew.
    """
    command = [sys.executable, "-m", "fae.train", "-m", "hidden=8,16", "experiment=smoke"]
    command += ["epochs=6", "optimizer.momentum=0.9", NO_LOCAL]

    def begin(folder: Path) -> "subprocess.Popen[bytes]":
        folder.mkdir(exist_ok=True)
        where = environment(f"sqlite:///{folder}/mlflow.db")
        null = subprocess.DEVNULL
        return subprocess.Popen(command, cwd=folder, env=where, stdout=null, stderr=null)

    def made(folder: Path) -> list[Any]:
        """Of each network: its final state, its run's status and metrics."""
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        found = client.get_experiment_by_name("fae")
        assert found is not None
        runs = client.search_runs([found.experiment_id], "tags.`fae.kind` = 'run'")
        assert sorted(run.data.params["hidden"] for run in runs) == ["16", "8"]
        ordered = sorted(runs, key=lambda run: int(run.data.params["hidden"]))
        states = [final_state(Path(run.data.tags["fae.folder"])) for run in ordered]
        stored = [(run.info.status, metrics_of(client, run), files(client, run)) for run in ordered]
        sweeps = client.search_runs([found.experiment_id], "tags.`fae.kind` = 'sweep'")
        return [states, stored, [run.info.status for run in sweeps]]

    start = time.monotonic()
    assert begin(tmp_path / "reference").wait() == 0
    duration = time.monotonic() - start
    reference = made(tmp_path / "reference")
    total = soak.times(short=1, whole=20)
    moments = random.Random(0)
    kills: list[bool] = []
    finished = 0
    for number in range(total):
        killed: list[bool] = []
        while not killed:
            folder = tmp_path / f"{number}-{finished}"
            for _ in range(soak.times(short=1, whole=2)):
                process = begin(folder)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(moments.uniform(0, 1.05) * duration)
                process.kill()
                if process.wait() == -signal.SIGKILL:
                    killed.append((folder / "mlflow.db").exists())
            finished += not killed
        kills += killed
        assert begin(folder).wait() == 0
        assert identical(made(folder), reference), f"sweep {number}"
    soak.tell(
        f"{total} of {total} sweeps identical; each killed once at least, {len(kills)} kills in "
        f"all, {kills.count(False)} before there was a store"
    )
