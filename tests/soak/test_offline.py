"""A machine that has no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NO_LOCAL, environment

from soak.conftest import Soak

ALONE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
"""Starts a command without any network, not even one within the machine."""


def test_digits_need_no_network(tmp_path: Path, soak: Soak) -> None:
    """Without a network, a sweep, its report and a search work with the digits."""
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("a network namespace is not permitted here")
    short = [] if soak.whole else ["epochs=2", "search.trials=2"]
    env = environment(f"sqlite:///{tmp_path}/mlflow.db")
    commands = [
        ["fae.train", "-m", "experiment=digits", "hidden=8,16", *short[:1]],
        ["fae.report"],
        ["fae.search", "experiment=digits", "hidden=8", *short],
    ]
    for module, *arguments in commands:
        command = [*ALONE, sys.executable, "-m", module, *arguments, NO_LOCAL]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (report,) = (tmp_path / "reports").glob("*/report.html")
    assert "Auto-encoders with 8 and 16 hidden units" in report.read_text()
    soak.tell(f"{len(commands)} of {len(commands)} commands")
