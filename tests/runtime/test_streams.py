"""Standard streams that are closed, full, or cannot encode a text: the command continues."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

LOST = "fae: standard output is lost ({}); the command continues\n"
FULL, CLOSED = LOST.format("No space left on device"), LOST.format("Bad file descriptor")


def shell(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} {command}"],
        cwd=folder,
        env={**environment("unused"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("redirection", "errors"),
    [
        (">/dev/full", FULL),
        (">&-", CLOSED),
        ("2>&-", ""),
        (">/dev/full 2>/dev/full", ""),
        ("<&- >&- 2>&-", ""),
    ],
)
def test_a_command_does_without_its_streams(tmp_path: Path, redirection: str, errors: str) -> None:
    done = shell(tmp_path, f"-m fae.doctor --help {redirection}")
    assert (done.returncode, done.stderr) == (0, errors)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_an_error_keeps_its_exit_code_without_standard_error(
    tmp_path: Path, redirection: str
) -> None:
    assert shell(tmp_path, f"-m fae.train hidden=x {redirection}").returncode == 2


WRITES = """
import os, sys
from fae.runtime import streams
streams.guard()
file = open("file", "w")
print("lost")
print("lost", file=sys.stderr, flush=True)
os.write(1, b"lost")
os.write(2, b"lost")
sys.exit(file.fileno() < 3)
"""


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    (tmp_path / "writes.py").write_text(WRITES)
    assert shell(tmp_path, "writes.py <&- >&- 2>&-").returncode == 0
    assert (tmp_path / "file").read_text() == ""


PRINTS = """
import warnings
from fae.runtime import streams
streams.guard()
warnings.filterwarnings("ignore", "expected")
warnings.warn("expected")
warnings.warn("told")
print("1 ± 2 \\udc80")
"""


@pytest.mark.parametrize("codec", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_does_not_have_is_an_escape(tmp_path: Path, codec: str) -> None:
    (tmp_path / "prints.py").write_text(PRINTS)
    done = subprocess.run(
        [sys.executable, "prints.py"],
        cwd=tmp_path,
        env={**environment("unused"), "PYTHONIOENCODING": codec},
        capture_output=True,
        timeout=60,
    )
    assert (
        done.stdout.decode(codec) == ("1 \\xb1 2" if codec == "ascii" else "1 ± 2") + " \\udc80\n"
    )


def test_a_warning_is_told_where_python_is_to_raise_it(tmp_path: Path) -> None:
    (tmp_path / "prints.py").write_text(PRINTS)
    done = shell(tmp_path, "prints.py", PYTHONWARNINGS="error", PYTHONUTF8="1")
    assert done.returncode == 0, done.stderr
    assert "UserWarning: told" in done.stderr
    assert "expected" not in done.stderr
    assert done.stdout == "1 ± 2 \\udc80\n"


def test_a_script_has_its_streams_back(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import sys, warnings\nfrom fae.runtime import streams\n"
        "before = sys.stdout, warnings.filters[:]\n"
        "print('script')\n"
        "with streams.guarded():\n    print('command')\n"
        "print('script', before == (sys.stdout, warnings.filters))\n"
    )
    assert shell(tmp_path, "script.py").stdout == "script\ncommand\nscript True\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_printed_comes_in_order(tmp_path: Path, unbuffered: str) -> None:
    (tmp_path / "prints.py").write_text(
        "import os\nfrom fae.runtime import streams\nstreams.guard()\n"
        "print('first')\nos.write(1, b'second\\n')\nprint('third', end='')\n"
    )
    done = shell(tmp_path, "prints.py", PYTHONUNBUFFERED=unbuffered)
    assert done.stdout == "first\nsecond\nthird"


PRINTS_MUCH = """
import sys
from fae.runtime import streams
streams.guard()
streams.PATIENCE_S = 0.2
for _ in range(20_000):
    print("lines")
sys.stdout.flush()
"""


@pytest.mark.parametrize("read", [True, False])
def test_a_pipe_that_does_not_block_is_waited_for_until_nobody_reads_it(
    tmp_path: Path, read: bool
) -> None:
    """As node and ssh leave them to their children."""
    (tmp_path / "prints.py").write_text(PRINTS_MUCH)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [sys.executable, "prints.py"],
        cwd=tmp_path,
        env=environment("unused"),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    with open(reading) as pipe:
        found = pipe.read() if read else ""
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert found == ("lines\n" * 20_000 if read else "")
    assert errors == ("" if read else LOST.format("nobody reads it"))
