"""Hosts differ in what machines differ in, and share what they share."""

import fcntl
import signal
import sys
from pathlib import Path

from cluster.conftest import HostMaker
from cluster.host import Host

TELL = """
import json, os, pathlib, platform, tempfile
read = lambda path: pathlib.Path(path).read_text().strip()
print(json.dumps([platform.node(), read("/proc/sys/kernel/random/boot_id"),
    os.environ["XDG_STATE_HOME"], tempfile.gettempdir(), os.getcwd()]))
"""
LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except BlockingIOError:
    print("locked")
"""


def told(host: Host, code: str, *arguments: object) -> str:
    process = host.popen(sys.executable, "-c", code, *map(str, arguments))
    said, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return said.strip()


def test_each_has_a_name_an_identity_and_folders_of_its_own(host: HostMaker) -> None:
    one, two = host("one"), host("two")
    assert '"one"' in told(one, TELL)
    assert f'"{two.home}/work"' in told(two, TELL)
    first, second = (set(told(h, TELL).strip("[]").split(", ")) for h in (one, two))
    assert not first & second


def test_two_can_have_one_name_and_this_machines_identity(host: HostMaker) -> None:
    one = host("same", identity={})
    here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert f'"{here}"' in told(one, TELL)


def test_a_hidden_folder_is_empty_on_that_host_only(host: HostMaker, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "file").write_text("")
    listing = "import os, sys; print(os.listdir(sys.argv[1]))"
    assert told(host("one", hidden=[folder]), listing, folder) == "[]"
    assert told(host("two"), listing, folder) == "['file']"


def test_locks_reach_a_host_unless_its_disk_has_none(host: HostMaker, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    file = folder / "lock"
    file.write_text("")
    with file.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told(host("one"), LOCK, file) == "locked"
        assert told(host("two", apart=[folder]), LOCK, file) == "free"


def test_a_signal_reaches_the_command_itself(host: HostMaker) -> None:
    waiting = "import signal; print(flush=True); signal.pause()"
    process = host("one").popen(sys.executable, "-c", waiting)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


def test_commands_of_fae_run_there(host: HostMaker) -> None:
    process = host("one").fae("train", "hidden=nonsense")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "hidden=nonsense" in error
