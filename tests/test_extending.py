"""docs/extending.md, followed to the letter."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PROJECT

OFFLINE = ["--quiet", "--no-deps", "--no-build-isolation"]
PAGE = (PROJECT / "docs" / "extending.md").read_text()


def section(title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Each block: its kind, what it holds, and the first file named in the paragraph before it."""
    found = []
    for paragraph, kind, content in re.findall(
        r"(?:^|\n\n)((?:[^\n]+\n)*[^\n]+:)\n\n```(\w+)\n(.*?)```", text, re.DOTALL
    ):
        named = re.search(r"`([\w./]+\.\w+)`", paragraph)
        found.append((kind, content, named[1] if named else ""))
    return found


def write(folder: Path, text: str) -> list[str]:
    """Write the files of a recipe; its commands."""
    commands = []
    for kind, content, name in blocks(text):
        if kind == "bash":
            commands += content.splitlines()
            continue
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return commands


@pytest.fixture
def follow(tmp_path: Path) -> Callable[[str], list[str]]:
    """Follows a recipe in an empty folder; what each command printed."""
    site = tmp_path / "site"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{site}",
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }

    def run(title: str) -> list[str]:
        printed = []
        for command in write(tmp_path, section(title)):
            program, *arguments = shlex.split(command)
            if program == "pip":
                arguments = ["-m", "pip", *arguments, *OFFLINE, "--target", str(site)]
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed.append(done.stdout)
        return printed

    return run


def test_a_network_and_a_data_set_in_a_package_of_ones_own(
    follow: Callable[[str], list[str]],
) -> None:
    _, trained, reported, searched = follow("A network or a data set, in a package of your own")
    assert "hidden=2 data=stripes model=funnel" in trained
    assert "n = 4" in reported
    assert "2 trials" in searched
