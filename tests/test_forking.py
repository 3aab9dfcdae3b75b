"""A forked process is to a test what one of its own is."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import pytest
from conftest import environment

PROBE = """
import atexit, json, os, signal, sys, threading
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path[:2], "cwd": os.getcwd(),
    "name": __name__, "main": vars(sys.modules["__main__"]) is globals(), "input": sys.stdin.read(),
    "environment": dict(os.environ), "threads": threading.active_count(),
    "package": [name for name in sys.modules if name.startswith(("fae", "hydra_plugins"))],
    "handlers": {name: str(signal.getsignal(getattr(signal, name))).partition(" at ")[0]
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGCHLD")},
}))
atexit.register(print, "an exit function")
print("told", file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize("words", [["-m", "probe"], ["-c", PROBE]], ids=["-m", "-c"])
def test_it_finds_what_any_process_finds(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    command = [sys.executable, *words, "a", "--b=c"]
    variables = {**environment("unused"), "MARK": "ü"}
    given: dict[str, Any] = {"cwd": tmp_path, "env": variables, "timeout": 60, "input": "words"}
    real = subprocess.run(command, capture_output=True, text=True, **given)
    forked = forking.run(command, **given)
    assert (forked.returncode, forked.stderr) == (real.returncode, real.stderr) == (7, "told\n")
    (ours, end), (theirs, real_end) = (done.stdout.splitlines() for done in (forked, real))
    assert json.loads(ours) == json.loads(theirs)
    assert end == real_end == "an exit function"


Started = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    def start(code: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code]
        return forking.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it(started: Started, signum: int) -> None:
    with started("import time; print('begun', flush=True); time.sleep(60)") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.send_signal(signum)
        assert process.wait(timeout=60) == -signum
        assert process.poll() == -signum


def test_each_draws_numbers_of_its_own(started: Started) -> None:
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    drawn = [started(code).communicate(timeout=60)[0].split() for _ in range(2)]
    assert len({number for numbers in drawn for number in numbers}) == 4


def test_it_ends_at_once_where_it_is_told_to(started: Started) -> None:
    with started("import os, atexit; atexit.register(print, 'no'); os._exit(3)") as process:
        assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 3


def test_exit_functions_are_called_in_the_order_of_any_process(started: Started) -> None:
    """What a command registers before it imports a library comes after what that registers."""
    code = "import atexit, os; atexit.register(lambda: os._exit(len(seen))); "
    code += "from torch import multiprocessing; from multiprocessing import util; seen = []; "
    code += "util.Finalize(None, seen.append, [1], exitpriority=1)"
    with started(code) as process:
        assert process.wait(timeout=60) == 1
