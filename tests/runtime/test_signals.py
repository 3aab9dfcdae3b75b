"""Signals that end a process: waiting, raised, at once, and handed on to a launcher."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import PROJECT, environment

PRELUDE = """
import os, time
from contextlib import contextmanager
from signal import SIG_DFL, SIG_IGN, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, signal
from fae.runtime import signals
from fae.errors import Interrupted
from fae.runtime.signals import allow_signals, defer_signals

def signalled(signum=SIGINT):
    os.kill(os.getpid(), signum)

signal(SIGHUP, SIG_DFL)  # whatever these tests were started by
signals.install()
"""


def done(*words: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=cwd, env=environment("unused"), capture_output=True, text=True, timeout=60
    )


def told(code: str) -> tuple[str, int, str]:
    """What a process that handles signals prints, its exit code, and its standard error."""
    ended = done("-c", PRELUDE + dedent(code))
    return ended.stdout.replace("\n", " ").strip(), ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGUSR1", 138), ("SIGUSR2", 140)],
)
def test_where_nothing_is_held_a_signal_is_the_end(name: str, code: int) -> None:
    said = told(f"signalled({name}); print('after')")
    assert said == ("", code, f"fae: interrupted by {name}\n")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_what_a_process_was_started_to_ignore_is_not_its_end(name: str) -> None:
    """The end of the terminal under nohup, for one."""
    said = told(f"""
        signal({name}, SIG_IGN)
        signals.install()
        signalled({name})
        signals.finish(0)
        signalled({name})
        print("after")
    """)
    assert said == ("after", 0, "")


def test_a_process_that_is_continued_continues() -> None:
    assert told("signalled(SIGCONT); print('after')") == ("after", 0, "")


def test_a_signal_waits_for_the_end_of_what_is_held() -> None:
    said, _, _ = told("""
        try:
            with defer_signals():
                signalled()
                with defer_signals():
                    print("inner")
                print("outer")
        except Interrupted as interrupted:
            print(interrupted)
    """)
    assert said == "inner outer interrupted by SIGINT"


@pytest.mark.parametrize(
    "where", ["signalled()", "with allow_signals(): signalled(); print('not')"]
)
def test_it_is_raised_in_a_released_part_also_if_it_waited(where: str) -> None:
    said, _, _ = told(f"""
        try:
            with defer_signals():
                try:
                    {where}
                    with allow_signals():
                        print("not this")
                finally:
                    print("in order")
        except Interrupted as interrupted:
            print(interrupted)
    """)
    assert said == "in order interrupted by SIGINT"


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_a_second_signal_is_the_end_whatever_is_held(first: str) -> None:
    said = told(f"""
        with defer_signals():
            signalled({first})
            print("first", flush=True)
            signalled(SIGTERM)
            print("second")
    """)
    assert said == ("first", 143, "fae: interrupted by SIGTERM\n")


@pytest.mark.parametrize(
    "swallowing",
    [
        "try:\n    signalled()\nexcept BaseException:\n    pass",
        "class Dying:\n    def __del__(self): signalled()\nDying()",
    ],
    ids=["except", "__del__"],
)
def test_what_a_library_swallows_is_raised_again(swallowing: str) -> None:
    said, code, errors = told(f"""
signals.REPEAT_S = 0.1
try:
    with defer_signals(), allow_signals():
        exec({swallowing!r})
        print("swallowed")
        time.sleep(10)
        print("not this")
except Interrupted as interrupted:
    print(interrupted)
signals.finish()
""")
    assert (said, code, errors) == ("swallowed interrupted by SIGINT", 0, "")


def test_what_else_goes_wrong_unseen_is_told() -> None:
    _, _, errors = told("""
        class Dying:
            def __del__(self):
                raise RuntimeError("boom")
        Dying()
    """)
    assert "Exception ignored" in errors
    assert "boom" in errors


@pytest.mark.long
def test_a_block_that_is_being_left_is_left() -> None:
    """Signals at any moment of a loop that enters and leaves blocks, ours and a generator's."""
    said, _, errors = told("""
        import threading
        inside = []

        @contextmanager
        def block():
            inside.append(1)
            try:
                yield
            finally:
                inside.pop()

        left = undeferred = 0
        for number in range(300):
            signals._arrived = None
            try:
                with defer_signals():
                    threading.Timer(number / 1e5, signalled).start()
                    try:
                        while True:
                            with allow_signals(), block():
                                pass
                    finally:
                        undeferred += signals._mode != "deferred"
            except Interrupted:
                left += len(inside)
                inside.clear()
        signals.finish()
        print(left, undeferred)
    """)
    assert (said, errors) == ("0 0", "")


def test_after_the_work_the_system_ends_the_process() -> None:
    assert told("signals.finish(); signalled()") == ("", -2, "")


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_with_its_work_done_ends_with_its_last_exit_function(code: int) -> None:
    said = told(f"""
        import atexit
        class TakesLong:
            def __del__(self):
                print("not this")
        takes_long = TakesLong()
        atexit.register(signals.exit_now)
        atexit.register(print, "an exit function")
        signals.finish({code})
        print("done")
    """)
    assert said == ("done an exit function", code, "")


@pytest.mark.parametrize(
    ("signals", "end"),
    [(1, ("an exit function", 3, "")), (2, ("", 130, "fae: interrupted by SIGINT\n"))],
)
def test_exit_functions_are_cut_short_by_a_second_signal_only(
    signals: int, end: tuple[str, int, str]
) -> None:
    said = told(f"""
        import atexit
        atexit.register(signals.exit_now)
        atexit.register(print, "an exit function")
        atexit.register(lambda: [signalled() for _ in range({signals})])
        signals.finish(3)
    """)
    assert said == end


FIRST_IMPORT = """
import os, signal, sys

class SignalAtImport:
    def find_spec(self, name, *_):
        if name == "hydra":
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, SignalAtImport())
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "command", ["-m fae.train", "-m fae.report", "-m fae train", "bin/fae train"]
)
def test_a_command_that_still_imports_ends_in_an_orderly_way(
    tmp_path: Path, command: str, name: str, code: int
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "fae").write_text("from fae.__main__ import main\nmain()\n")
    (tmp_path / "sitecustomize.py").write_text(FIRST_IMPORT.format(name=name))
    variables = environment("unused")
    ended = subprocess.run(
        [sys.executable, *command.split(), "experiment=smoke"],
        cwd=tmp_path,
        env={**variables, "PYTHONPATH": f"{tmp_path}:{variables['PYTHONPATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"fae: interrupted by {name}\n"


ASKS = """
import signal
import fae
from fae.config import Config
print(signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN))
"""


@pytest.mark.parametrize("words", ["-c CODE", "fae-plot.py", "-m plots.fae fae.train"])
def test_importing_the_package_leaves_signals_alone(tmp_path: Path, words: str) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "__init__.py").write_text("import fae")
    for name in ("fae-plot.py", "plots/fae.py"):
        (tmp_path / name).write_text(ASKS)
    ended = done(*[ASKS if word == "CODE" else word for word in words.split()], cwd=tmp_path)
    assert ended.stdout == "True\n", ended.stderr


GUEST = """
import logging, os, sys, warnings
from signal import SIGALRM, SIGHUP, SIGINT, SIGTERM, default_int_handler, getsignal, signal

signal(SIGINT, default_int_handler)  # also where the tests run in the background

def state():
    handlers = [getsignal(signum) for signum in (SIGALRM, SIGHUP, SIGINT, SIGTERM)]
    streams = sys.stdout, sys.stderr, logging.raiseExceptions, list(warnings.filters)
    root = logging.getLogger().level, list(logging.getLogger().handlers)
    return [*handlers, sys.unraisablehook, *streams, *root, dict(os.environ)]

from fae.cli import command
from fae.runtime.signals import allow_signals, defer_signals
from fae.train import main

signal(SIGTERM, lambda *_: print("own handler"))
logging.basicConfig(level="ERROR")
before = state()

def left_by(entry):
    try:
        entry()
    except SystemExit as end:
        return end.code

def signalled(*signals):
    for signum in signals:
        os.kill(os.getpid(), signum)

def work():
    with defer_signals():
        signalled(SIGINT)
        with allow_signals():
            print("not this")

def set_variables():
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", HOME="elsewhere")

def impatient():
    with defer_signals():
        signalled(SIGINT, SIGTERM)
        print("nor this")

sys.argv = ["notebook", "hidden=x", "tracking.uri=sqlite:///unused.db"]
"""


def as_guest(code: str) -> subprocess.CompletedProcess[str]:
    return done("-c", GUEST + dedent(code))


def test_a_command_in_a_notebook_leaves_the_process_as_it_was() -> None:
    ended = as_guest("""
        print(left_by(main), state() == before)
        print(left_by(lambda: command.run(work)), state() == before)
        print(left_by(lambda: command.run(set_variables)), state() == before)
        signalled(SIGTERM)
        try:
            signalled(SIGINT)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    said = "2 True\n130 True\nNone True\nown handler\ninterrupted\n"
    assert (ended.stdout, ended.returncode) == (said, 0), ended.stderr
    assert ended.stderr == "fae: hidden=x: must be a valid integer\nfae: interrupted by SIGINT\n"


def test_a_signal_does_not_end_a_notebook() -> None:
    """Neither where nothing is held, nor a second one."""
    ended = as_guest("""
        sys.argv[1:] = []
        print(left_by(lambda: command.run(lambda: signalled(SIGTERM))))
        print(left_by(lambda: command.run(impatient)))
    """)
    assert (ended.stdout, ended.returncode) == ("own handler\n143\n130\n", 0), ended.stderr


LAUNCHER = """
signals.finish()
signals.REPEAT_S = 0.1

def requeue(signum, frame):
    print("requeued")
    raise RuntimeError("by the launcher")

def bypass(signum, frame):
    print("bypassed")

own = {SIGTERM: bypass, SIGCONT: bypass, SIGUSR2: requeue, SIGUSR1: SIG_DFL, SIGINT: SIG_DFL}
for number, handler in own.items():
    signal(number, handler)

def done(*numbers):
    with defer_signals():
        for number in numbers:
            signalled(number)
        print("held")
        try:
            with allow_signals():
                print("not this" if set(numbers) - {SIGCONT} else "trained")
        finally:
            print("closed")

def of_a_launcher(work, *given):
    try:
        with signals.job():
            work(*given)
    except (RuntimeError, Interrupted) as error:
        print(error)
    assert all(getsignal(number) == handler for number, handler in own.items())
"""


def in_a_launcher(code: str) -> tuple[str, int, str]:
    """What a process of a launcher's prints, in which jobs are done by ``of_a_launcher``."""
    return told("from signal import getsignal\n" + LAUNCHER + dedent(code))


@pytest.mark.parametrize(
    ("arriving", "said"),
    [
        ("SIGUSR2", "held closed requeued by the launcher"),
        ("SIGTERM", "held closed bypassed interrupted by SIGTERM"),
        ("SIGTERM, SIGUSR2", "held closed requeued by the launcher"),
        ("SIGUSR1", "held closed interrupted by SIGUSR1"),
        ("SIGINT", "held closed interrupted by SIGINT"),
        ("SIGCONT", "bypassed held trained closed"),
    ],
)
def test_a_launcher_handles_a_signal_once_its_job_has_ended(arriving: str, said: str) -> None:
    assert in_a_launcher(f"of_a_launcher(done, {arriving})") == (said, 0, "")


def test_a_job_of_a_launcher_is_interrupted_anywhere() -> None:
    """Also where nothing is held, as in its imports; there is no run yet, nothing to close."""
    said = in_a_launcher("of_a_launcher(lambda: [signalled(SIGUSR2), print('not this')])")
    assert said == ("requeued by the launcher", 0, "")


@pytest.mark.parametrize("arriving", ["SIGUSR2, SIGUSR2", "SIGINT, SIGTERM", "SIGUSR2, SIGTERM"])
def test_a_second_signal_ends_a_job_of_a_launcher_at_once(arriving: str) -> None:
    name = arriving.split()[-1]
    code = 143 if name == "SIGTERM" else 140
    said = in_a_launcher(f"of_a_launcher(done, {arriving})")
    assert said == ("", code, f"fae: interrupted by {name}\n")


def test_a_process_of_a_launcher_does_several_jobs() -> None:
    said = in_a_launcher("""
        of_a_launcher(done, SIGTERM)
        of_a_launcher(done, SIGCONT)
        of_a_launcher(print, "another")
        signalled(SIGTERM)
        try:
            signalled(SIGUSR2)
        except RuntimeError:
            print("itself")
    """)
    first = "held closed bypassed interrupted by SIGTERM"
    second = "bypassed held trained closed"
    assert said == (f"{first} {second} another bypassed requeued itself", 0, "")


def test_what_a_launcher_does_after_an_interrupted_job_takes_its_time() -> None:
    """No alarm is left, which would end the process as its libraries are torn down."""
    said = in_a_launcher("""
        class TakesLong:
            def __del__(self):
                time.sleep(0.3)
                print("ended")
        takes_long = TakesLong()
        with signals.job():
            with defer_signals(), allow_signals():
                signalled(SIGTERM)
    """)
    assert said == ("bypassed ended", 143, "")


WINDOWS = """
import runpy, signal, sys
sys.platform = "win32"
del signal.SIGHUP, signal.SIGALRM, signal.setitimer
runpy.run_module("fae.train", run_name="__main__")
"""


def test_on_windows_a_sentence_says_what_to_do() -> None:
    ended = done("-c", WINDOWS)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("fae: does not run on Windows itself; run it under WSL")
