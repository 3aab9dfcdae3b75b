"""Where numbers come from, against git and the installed packages themselves."""

import subprocess
from pathlib import Path

import pytest
import torch

from fae.runs import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("old\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    return tmp_path


def test_the_commit_is_gits(repository: Path) -> None:
    tags = provenance.code()
    assert tags["fae.commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert tags["fae.dirty"] == "false"
    assert provenance.uncommitted_diff() == ""


def test_a_change_is_told_and_shown(repository: Path) -> None:
    (repository / "file").write_text("new\n")
    (repository / "other").write_text("")
    assert provenance.code()["fae.dirty"] == "true"
    assert "-old\n+new\n" in provenance.uncommitted_diff()
    assert "# new: other\n" in provenance.uncommitted_diff()


def test_outside_a_repository_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    assert provenance.code()["fae.commit"] == "unknown"
    assert provenance.code()["fae.dirty"] == "unknown"


def test_installed_versions_can_be_installed_again() -> None:
    lines = provenance.installed_versions().splitlines()
    assert f"torch=={torch.__version__.split('+')[0]}" in lines
    assert lines == sorted(lines)


def test_a_repository_that_it_is_installed_in_is_not_its_own(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "file").write_text("secret\n")
    installed = repository / "venv" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.setattr(provenance, "PROJECT", installed)
    assert provenance.code()["fae.commit"] == "unknown"
    assert provenance.uncommitted_diff() == ""


def test_a_repository_that_the_environment_names_is_not_its_own(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of another one, which calls the command."""
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    (other / "file").write_text("other\n")
    git(other, "add", ".")
    git(other, "commit", "-qm", "other")
    commit = git(repository, "rev-parse", "HEAD").strip()
    monkeypatch.setenv("GIT_DIR", f"{other}/.git")
    monkeypatch.setenv("GIT_WORK_TREE", f"{other}")
    monkeypatch.setenv("GIT_INDEX_FILE", f"{other}/.git/index")
    assert provenance.code()["fae.commit"] == commit
    assert provenance.code()["fae.dirty"] == "false"


@pytest.mark.parametrize("kind", ["worktree", "submodule"])
def test_a_checkout_of_another_kind_is_its_own(
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One in which ``.git`` is a file."""
    home = tmp_path_factory.mktemp("home")
    if kind == "worktree":
        git(repository, "worktree", "add", "-q", f"{home}/fae")
    else:
        git(home, "init", "-q")
        git(
            home,
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "-q",
            "add",
            f"{repository}",
            "fae",
        )
    commit = git(repository, "rev-parse", "HEAD").strip()
    monkeypatch.setattr(provenance, "PROJECT", home / "fae")
    assert provenance.code()["fae.commit"] == commit
