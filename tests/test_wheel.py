"""The wheel and the source distribution, built and installed away from the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import PROJECT, runs
from mlflow import MlflowClient

from fae.runtime.installation import checkout, configuration


def run(*command: str, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a checkout whose user has defaults, which are nobody else's."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("fae", "hydra_plugins", "conf", "tests"):
        shutil.copytree(PROJECT / name, source / name)
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(PROJECT / name, source)
    (source / "conf" / "local" / "default.yaml").write_text("no_such_key: 1\n")
    run("-m", "hatchling", "build", "-t", "sdist", "-d", str(built), cwd=source)
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("built")
    options = ("--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", str(built))
    run("-m", "pip", "wheel", *options, str(sdist), cwd=built)
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel, beside another package's ``conf``."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--quiet", "--no-index", "--no-deps", "--target", str(folder))
    run("-m", "pip", "install", *options, str(wheel), cwd=folder)
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text("of: another package\n")
    return folder


def test_the_source_distribution_has_tests_and_tested_versions(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/config.yaml", "tests/conftest.py", "constraints.txt"} <= names
    assert "conf/local/default.yaml" not in names
    assert not any("__pycache__" in name for name in names)


def test_it_installs_nothing_that_is_not_fae_s(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "fae",
        "hydra_plugins",
        "fae-0.1.0.dist-info",
    }
    theirs = {name.removeprefix("fae/conf/") for name in names if name.startswith("fae/conf/")}
    ours = {str(file.relative_to(PROJECT / "conf")) for file in (PROJECT / "conf").rglob("*.yaml")}
    assert theirs == ours - {"local/default.yaml"}


@pytest.mark.long
def test_it_trains(installed: Path, tmp_path: Path, store_uri: str, client: MlflowClient) -> None:
    """By its own configuration. A repository that it is installed in is not its own."""
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=installed, check=True)
    ours = {"PYTHONPATH": str(installed), "MLFLOW_TRACKING_URI": store_uri}
    assert " data=digits " in run("-m", "fae", "train", "--help", cwd=tmp_path, **ours)
    dials = ("data=digits", "hidden=4", "epochs=1", "sweep.rerun=true")
    run("-m", "fae.train", *dials, cwd=tmp_path, **ours)
    (trained,) = runs(client, "run", tmp_path)
    assert trained.info.status == "FINISHED"
    assert trained.data.tags["fae.commit"] == "unknown"


def test_a_checkout_has_its_configuration_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "fae"
    assert configuration() == PROJECT / "conf"
    assert checkout() == PROJECT
    assert configuration(package) == tmp_path / "conf"
    (package / "conf").mkdir(parents=True)
    assert configuration(package) == package / "conf"
    assert checkout(package) is None
