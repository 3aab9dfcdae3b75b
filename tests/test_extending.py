"""docs/extending.md, followed to the letter."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forking
import pytest
from conftest import PROJECT
from mlflow import MlflowClient

OFFLINE = ["--quiet", "--no-deps", "--no-build-isolation"]
PAGE = (PROJECT / "docs" / "extending.md").read_text()


def section(title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Each block: its kind, what it holds, and the first file named in what stands before it."""
    found = []
    for before, kind, content in re.findall(r"(.*?)```(\w+)\n(.*?)```", text, re.DOTALL):
        named = re.search(r"`([\w./]+\.\w+)`", before)
        found.append((kind, content, named[1] if named else ""))
    return found


def apply(difference: str, file: Path) -> None:
    """Put the lines with a plus in, and take those with a minus out, where the others stand."""
    lines = difference.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = file.read_text()
    assert text.count(before) == 1, f"{file} does not have these lines once:\n{before}"
    file.write_text(text.replace(before, after))


def write(folder: Path, text: str) -> list[str]:
    """Write the files of a recipe; its commands."""
    commands = []
    for kind, content, name in blocks(text):
        file = folder / name
        if kind == "bash":
            commands += content.splitlines()
        elif kind == "diff":
            apply(content, file)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
    return commands


Follow = Callable[..., list[str]]


@pytest.fixture
def follow(tmp_path: Path, own_store: None) -> Follow:  # noqa: ARG001
    """Follows a recipe, by default in a checkout of its own; what each command printed."""

    def run(title: str, *, checkout: bool = True) -> list[str]:
        site, printed = tmp_path / "site", []
        if checkout:
            for name in ("fae", "conf", "hydra_plugins"):
                shutil.copytree(PROJECT / name, tmp_path / name)
        path = [str(tmp_path if checkout else PROJECT), str(site)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        }
        for command in write(tmp_path, section(title)):
            program, *arguments = shlex.split(command)
            if program == "pip":
                install = ["-m", "pip", *arguments, *OFFLINE, "--target", str(site)]
                subprocess.run([sys.executable, *install], cwd=tmp_path, check=True, timeout=300)
                continue
            done = forking.run(
                [sys.executable, *arguments], cwd=tmp_path, env=environment, timeout=300
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed.append(done.stdout)
        return printed

    return run


def stored(folder: Path) -> Any:
    """The only run in the store of a folder."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id], "tags.`fae.kind` = 'run'")
    return run


@pytest.mark.long
def test_a_network_and_a_data_set_in_a_package_of_ones_own(follow: Follow) -> None:
    title = "A network or a data set, in a package of your own"
    learned, trained, reported, searched = follow(title, checkout=False)
    assert "overfit  error " in learned
    assert "data=stripes model=funnel hidden=2,4" in trained
    assert "hidden=4 seed=0" in trained
    assert "n = 4" in reported
    assert re.search(r"model=funnel .* +2 ", searched)


FINGERPRINT = """
from fae.cli.compose import compose
from fae.runs.fingerprint import fingerprint
print(fingerprint(compose("local=none", "experiment=digits")))
"""


def fingerprint(checkout: Path) -> str:
    """Of a run that uses nothing of what was added."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return forking.run([sys.executable, "-c", FINGERPRINT], env=environment, cwd=checkout).stdout


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[None]:
    """What is added lets runs that do not use it count as before."""
    yield
    assert fingerprint(tmp_path) == fingerprint(PROJECT) != ""


@pytest.mark.long
@pytest.mark.usefixtures("unchanged")
def test_an_optimizer(follow: Follow) -> None:
    trained, searched = follow("An optimizer or a schedule")
    assert "optimizer=rmsprop" in trained
    assert "hidden=4 seed=0  train" in trained
    assert "optimizer=rmsprop" in searched


@pytest.mark.long
@pytest.mark.usefixtures("unchanged")
def test_a_metric(follow: Follow, tmp_path: Path) -> None:
    follow("A metric")
    metrics = stored(tmp_path).data.metrics
    assert 0 < metrics["test/mae"] < 1
    assert metrics["val/mae"] ** 2 <= metrics["val/mse"]


@pytest.mark.long
@pytest.mark.usefixtures("unchanged")
def test_a_figure(follow: Follow, tmp_path: Path) -> None:
    follow("A figure of the report")
    (report,) = (tmp_path / "reports").iterdir()
    assert (report / "figures" / "error_by_parameters.svg").exists()
    assert "Test error against parameters" in (report / "report.html").read_text()


@pytest.mark.long
def test_published_numbers(follow: Follow) -> None:
    (printed,) = follow("Published numbers")
    assert re.search(r"n = 4 +\S+ \(one seed\) +0\.0500 ", printed)
    assert "not enough seeds" in printed


@pytest.mark.long
def test_a_launcher(follow: Follow) -> None:
    (printed,) = follow("A launcher")
    assert "n = 2" in printed
    assert "n = 4" in printed
