"""A user without a home."""

import subprocess
import sys
from pathlib import Path

from conftest import environment

NAMELESS = """
import os, pwd
from pathlib import Path

def of_nobody(uid):
    raise KeyError(uid)

pwd.getpwuid = of_nobody
from fae.runtime import home
home.ensure()
Path("~/file").expanduser().write_text("")
print(os.environ["HOME"])
"""


def told(folder: Path, **variables: str) -> tuple[Path, str]:
    """The home of a process, and its standard error."""
    ended = subprocess.run(
        [sys.executable, "-c", NAMELESS],
        env={**{k: v for k, v in environment("unused").items() if k != "HOME"}, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Path(ended.stdout.strip()), ended.stderr


def test_it_has_one_for_as_long_as_the_process_lasts(tmp_path: Path) -> None:
    home, errors = told(tmp_path, TMPDIR=f"{tmp_path}")
    assert home.parent == tmp_path
    assert not home.exists()
    assert errors == f"fae: no home folder (set HOME); using one until the command ends: {home}\n"


def test_a_home_that_there_is_stays(tmp_path: Path) -> None:
    assert told(tmp_path, HOME=f"{tmp_path}") == (tmp_path, "")
    assert (tmp_path / "file").exists()
