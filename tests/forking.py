"""Commands in forked processes: ``python -m fae.train ...`` without the seconds of its imports.

A server imports the libraries once, before any thread of torch's or connection of MLflow's; each
command is a fork of it, which imports ``fae`` itself and ends as a process of its own does. What
libraries read from the environment at their import (HOME, PYTHON*) needs a process of subprocess's.
"""

import ast
import atexit
import gc
import importlib
import os
import pickle
import re
import runpy
import select
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import __main__

PROJECT = Path(__file__).resolve().parents[1]
NUMBER = struct.Struct("q")


class Popen(subprocess.Popen[str]):
    """A ``subprocess.Popen`` of ``[sys.executable, "-m", MODULE, ...]``, or of ``-c CODE``."""

    _status: int

    def _execute_child(self, command: Sequence[str], *given: Any) -> None:
        """What starts the process in ``subprocess.Popen``, in which all else stays as it is."""
        cwd, env, pipes = given[4], given[5], given[9:15]
        streams = [pipes[0], pipes[3], pipes[5]]
        request = {
            "command": [os.fspath(word) for word in command],
            "cwd": os.fspath(cwd or os.getcwd()),
            "env": dict(os.environ if env is None else env),
        }
        streams = [own if given < 0 else given for own, given in enumerate(streams)]
        self._status, ours = os.pipe()
        try:
            socket.send_fds(_server(), [pickle.dumps(request)], [*streams, ours])
        finally:
            os.close(ours)
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = self._told()

    def poll(self) -> int | None:
        return self.returncode if self._is_over(0) else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._is_over(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _is_over(self, timeout: float | None) -> bool:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = self._told()
            os.close(self._status)
        return self.returncode is not None

    def _told(self) -> int:
        answer = os.read(self._status, NUMBER.size)
        assert answer, "the process that forks has ended"
        return int(NUMBER.unpack(answer)[0])


def run(
    command: Sequence[str],
    *,
    timeout: float | None = None,
    input: str | None = None,  # noqa: A002 the names are those of subprocess.run
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """What ``subprocess.run`` does, with the output captured as text."""
    pipes = {"stdin": subprocess.PIPE if input is not None else subprocess.DEVNULL}
    pipes |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, text=True, **(pipes | options)) as process:
        try:
            said, told = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, said, told)


@cache
def _server() -> socket.socket:
    """The way to the server, which ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-c", f"import forking; forking.serve({theirs.fileno()})()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent)])},
        stdin=null,
        stdout=null,
        stderr=null,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def serve(control: int) -> Callable[[], None]:
    """Fork a process for each request, and return what is to be run in each of them."""
    atexit.register(_end)
    _import_libraries()
    requests = socket.socket(fileno=control)
    running: dict[int, tuple[int, int]] = {}
    """Of each process a descriptor that is ready once it has ended: its id, and whom to tell."""
    while True:
        ready, *_ = select.select([control, *running], [], [])
        for ended in running.keys() & {*ready}:
            _tell_code(*running.pop(ended))
            os.close(ended)
        if control not in ready:
            continue
        request, descriptors, *_ = socket.recv_fds(requests, 1 << 18, 4)
        if not request:
            os._exit(0)
        *streams, status = descriptors
        if pid := os.fork():
            for stream in streams:
                os.close(stream)
            os.write(status, NUMBER.pack(pid))
            running[os.pidfd_open(pid)] = pid, status
            continue
        requests.close()
        for descriptor, (_, of_another) in running.items():
            os.close(descriptor)
            os.close(of_another)
        os.close(status)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        return _become(**pickle.loads(request))


def _tell_code(pid: int, status: int) -> None:
    """Tell how a process ended to who waits for that, if anybody still does."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(status, NUMBER.pack(code))
    os.close(status)


def _become(command: list[str], cwd: str, env: dict[str, str]) -> Callable[[], None]:
    """Make this process what the command would have made; returns what it is to do."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    sys.orig_argv = command
    _, option, what, *arguments = command
    sys.argv = [option, *arguments]
    here = os.getcwd() if option == "-m" else ""
    ours = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:2] = [here, *filter(None, ours)]
    sys.path_importer_cache.clear()
    _renew_randomness()
    if "OMP_NUM_THREADS" in env:
        import torch

        torch.set_num_threads(int(env["OMP_NUM_THREADS"]))
    if option == "-m":
        return lambda: _run(lambda: runpy._run_module_as_main(what))  # type: ignore[attr-defined]
    return lambda: _run(lambda: exec(compile(what, "<string>", "exec"), vars(__main__)))


_noted: list[Callable[[], object]] = []
_register = atexit.register


def _note(function: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[..., Any]:
    """Note an exit function of a library, in place of ``atexit.register``."""
    _noted.append(partial(function, *arguments, **named))
    return function


def _register_after_first(*given: Any, **named: Any) -> Callable[..., Any]:
    """Register an exit function, and then the libraries': a command has its own before theirs."""
    atexit.register = _register
    function = _register(*given, **named)
    while _noted:
        _register(_noted.pop(0))
    return function


_code: int | None = None


def _run(entry: Callable[[], None]) -> None:
    global _code
    atexit.register = _register_after_first
    try:
        entry()
        _code = 0
    except SystemExit as end:
        _code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except Exception:
        _code = 1
        raise
    finally:
        if atexit.register is _register_after_first:  # there was none
            atexit.register(bool)


def _end() -> None:
    """The last exit function: what libraries say when Python takes them apart is not asked for."""
    if _code is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_code & 0xFF)


def _renew_randomness() -> None:
    """What Python does by itself for its own generator."""
    import numpy as np

    np.random.seed()


LATE = (
    "alembic.command",
    "matplotlib.backends.backend_svg",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "sqlalchemy.dialects.sqlite",
    "torch.export._trace",
    "torch.export.pt2_archive._package",
)
"""What libraries import only when used, and takes long."""


def _import_libraries() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    atexit.register = _note  # type: ignore[assignment]
    from mlflow.utils import requirements_utils

    for name in sorted({*_imported(), *LATE}):
        if re.match("fae|hydra_plugins", name):
            continue
        with suppress(ImportError):  # of another system, or an extra
            importlib.import_module(name)
    requirements_utils._init_modules_to_packages_map()
    atexit.register = _register
    gc.freeze()


def _imported() -> Iterator[str]:
    """Modules that are imported anywhere in this package."""
    for file in (PROJECT / "fae").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module)
