"""Photographs in a folder, some of them broken: refused, trained, resumed, reported, searched."""

import signal
import subprocess
import sys
from pathlib import Path

import forking
import photographs
import pytest
import torch
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from fae import load_model
from fae.cli.compose import compose

SMALL = ["data.side=8", "optimizer=adam", "dropout=0.1"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_store: bytes) -> Path:
    """A folder with a store, and 200 photographs and five broken files beside it."""
    project = tmp_path_factory.mktemp("project")
    (project / "mlflow.db").write_bytes(empty_store)
    photographs.add_broken(photographs.photographs(project / "photos", 200))
    return project


def begin(project: Path, command: str, *arguments: str) -> "subprocess.Popen[str]":
    """A command about the photographs, in an environment that names other images."""
    return forking.Popen(
        [sys.executable, "-m", f"fae.{command}", *arguments, NO_LOCAL],
        cwd=project,
        env={
            **environment(store(project)),
            "XDG_CACHE_HOME": str(project / "cache"),
            "XDG_STATE_HOME": str(project / "state"),
            "FAE_DATA": "/elsewhere",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project: Path, command: str, *arguments: str) -> tuple[int, str, str]:
    """The exit code of a command, and what it said."""
    process = begin(project, command, *arguments)
    said, errors = process.communicate(timeout=300)
    return process.returncode, said, errors


def own(*overrides: str) -> list[str]:
    return ["data=folder", "data.root=photos", "data.skip_broken=true", *SMALL, *overrides]


def store(project: Path) -> str:
    return f"sqlite:///{project}/mlflow.db"


def stored(project: Path, hidden: int) -> list[Run]:
    client = MlflowClient(store(project))
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"params.hidden = '{hidden}'")
    return [run for run in found if run.data.tags["fae.kind"] == "run"]


def test_broken_files_are_named_before_anything_is_written(project: Path) -> None:
    before = sorted(project.iterdir())
    for options in ([], ["-m"]):
        code, said, errors = run(project, "train", *options, "data=folder", "data.root=photos")
        assert (code, said) == (2, "")
        first, *others = errors.splitlines()
        assert first.startswith(f"fae: data.root={project}/photos: 5 of 205 images cannot be used;")
        assert len(others) == 5
        for line, (name, reason) in zip(others, photographs.BROKEN.items(), strict=True):
            assert line.startswith(f"  {name}: {reason}")
        assert [*{*project.iterdir()} - {*before}] in ([], [project / "cache"])


@pytest.mark.long
def test_a_sweep_without_them_is_trained_and_reported(project: Path) -> None:
    code, said, errors = run(project, "train", "-m", *own("hidden=4,8", "epochs=2"))
    assert (code, errors) == (0, "")
    assert "warning: 5 of 205 images are left out" in said
    assert said.count("warning: left out: 1 other file: .txt (1)") == 1
    (four,), (eight,) = stored(project, 4), stored(project, 8)
    assert four.data.tags["fae.data_digest"] == eight.data.tags["fae.data_digest"]
    assert [four.data.params[f"data.{part}"] for part in ("train", "val", "test")] == [
        *("160", "20", "20")
    ]
    (page,) = project.glob("reports/*/report.html")
    assert "the images in photos" in page.read_text()
    with Image.open(page.parent / "figures" / "reconstructions.png") as picture:
        assert picture.width > picture.height / 2  # a column for each of the classes


@pytest.mark.long
def test_a_report_finds_the_images_where_they_are_now(project: Path) -> None:
    run(project, "train", *own("hidden=5", "epochs=1"))
    where = ("where=hidden=5", "out=alone")
    assert run(project, "report", *where)[0] == 0
    (project / "photos").rename(project / "moved")
    try:
        code, _, errors = run(project, "report", *where)
        assert (code, "photos: there is no such folder" in errors) == (3, True)
        assert run(project, "report", *where, "data.root=moved")[0] == 0
    finally:
        (project / "moved").rename(project / "photos")


@pytest.mark.long
def test_a_killed_run_is_resumed_with_the_same_bits(project: Path) -> None:
    arguments = own("hidden=6", "epochs=60")
    process = begin(project, "train", *arguments)
    assert process.stdout
    next(line for line in process.stdout if "epoch 2/" in line)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    code, said, _ = run(project, "train", *arguments)
    assert (code, "epoch 1/" in said) == (0, False)
    assert [run.info.status for run in stored(project, 6)] == ["FINISHED"]
    assert run(project, "train", *arguments, "sweep.rerun=true")[0] == 0
    tracking = compose(NO_LOCAL, f"tracking.uri='{store(project)}'").tracking
    networks = [load_model(run.info.run_id, tracking=tracking) for run in stored(project, 6)]
    assert len(networks) == 2
    ours, theirs = (network.state_dict() for network in networks)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert torch.equal(values, theirs[name]), name


@pytest.mark.long
def test_a_search_takes_them_as_any_other_images(project: Path) -> None:
    search = ["search.trials=2", "search.repeats=2"]
    code, _, errors = run(project, "search", *own("hidden=7", "epochs=2"), *search)
    assert (code, errors) == (0, "")
    assert len(stored(project, 7)) == 2
