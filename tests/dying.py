"""Runs whose process is killed, for the tests of what is done about them."""

import subprocess
import sys
from pathlib import Path

import forking
from conftest import NO_LOCAL, environment

from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store

DIES = """
import os, sys
from pathlib import Path
from fae.cli.compose import compose
from fae.runs.provenance import tags
from fae.tracking.store import Store
from fae.tracking import delivery

delivery.FLUSH_INTERVAL_S = 60.0
config = compose(*sys.argv[2:])
folder = Path(sys.argv[1])
with Store(config.tracking).run(
    "dies", kind="run", folder=folder, command="", tags=tags(config)
) as run:
    run.log_metrics({"val/mse": 0.5}, step=1)
    print(run.id, flush=True)
    os.kill(os.getpid(), 9) if "stay" not in sys.argv[1] else sys.stdin.read()
"""
"""A process that begins a run, says something, and is killed, or waits for its input to end."""


def begun(folder: Path, tracking: TrackingConfig) -> "subprocess.Popen[str]":
    folder.mkdir()
    return forking.Popen(
        [sys.executable, "-c", DIES, str(folder), NO_LOCAL, f"tracking.uri='{tracking.uri}'"],
        env=environment(tracking.uri),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def died(folder: Path, tracking: TrackingConfig) -> str:
    """The id of a run of ``folder`` whose process was killed before its metric was stored."""
    Store(tracking)
    process = begun(folder, tracking)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == -9
    return said.strip()
