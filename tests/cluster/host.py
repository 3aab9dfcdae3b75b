"""Commands as if on another machine: another name, and a disk and identity of its own.

A host is a set of Linux namespaces that a sleeping process keeps. It has its own host name, boot
id and machine id, its own folders for state and temporary files, and it may see other files than
this machine does. Its processes are ordinary ones of this machine: they have a process id here,
and die of what they are sent.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from conftest import NO_LOCAL, PROJECT

from cluster.servers import end

ROOT = os.geteuid() == 0
UNSHARE = ["unshare", "--uts", "--mount", *([] if ROOT else ["--map-root-user"])]
ENTER = ["nsenter", "--uts", "--mount", *([] if ROOT else ["--user", "--preserve-credentials"])]
IDENTITIES = {"boot": "/proc/sys/kernel/random/boot_id", "machine": "/etc/machine-id"}
PREPARE = """
set -e
hostname "$1"
shift
while [ "$1" != -- ]; do
    case "$1" in
    identity) mount --bind "$2" "$3"; shift 3 ;;
    hidden) mount -t tmpfs none "$2"; shift 2 ;;
    apart) mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$4" none "$2"; shift 4 ;;
    esac
done
echo ready
exec sleep infinity
"""


class Host:
    """Another machine.

    Attributes:
        name: its host name.
        home: its own folder; ``home/work`` is where its commands run unless they are told.
        environment: of its commands, besides that of this process.

    Args:
        home: made if needed.
        hidden: folders that it does not see: it has empty ones there.
        apart: folders that it sees and in which locks do not reach it, as on a network disk
            without locks. What it writes there, others do not see.
        identity: ``boot`` and ``machine``; fresh ones by default, {} for those of this machine.

    Raises:
        OSError: namespaces are not permitted here.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        hidden: Sequence[Path] = (),
        apart: Sequence[Path] = (),
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.home = name, home
        self.environment = {
            "PYTHONPATH": f"{PROJECT}",
            "XDG_STATE_HOME": f"{home}/state",
            "TMPDIR": f"{home}/tmp",
        }
        for folder in ("work", "state", "tmp", "disk"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        if identity is None:
            identity = {"boot": f"{uuid.uuid4()}", "machine": uuid.uuid4().hex}
        words = self._identities(identity)
        words += [word for path in hidden for word in ("hidden", f"{path}")]
        for number, path in enumerate(apart):
            layers = [home / "disk" / f"{number}{layer}" for layer in ("upper", "work")]
            for layer in layers:
                layer.mkdir()
            words += ["apart", f"{path}", *map(str, layers)]
        self._started: list[subprocess.Popen[str]] = []
        self._keeper = self._open([*UNSHARE, "sh", "-c", PREPARE, "sh", name, *words, "--"])
        assert self._keeper.stdout
        if not self._keeper.stdout.readline():
            raise OSError(self._keeper.communicate()[1].strip())

    def _identities(self, identity: Mapping[str, str]) -> list[str]:
        words = []
        for kind, value in identity.items():
            (self.home / kind).write_text(f"{value}\n")
            if Path(IDENTITIES[kind]).exists():
                words += ["identity", f"{self.home / kind}", IDENTITIES[kind]]
        return words

    def popen(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> "subprocess.Popen[str]":
        """Start any command on this host; its process id is that of the command itself.

        Args:
            cwd: ``home/work`` by default.
            environment: besides that of the host.
            log: a file for all it says; by default pipes, which ``communicate`` reads.
        """
        variables = {**os.environ, **self.environment, **(environment or {})}
        enter = [*ENTER, "--target", f"{self._keeper.pid}"]
        there = ["env", f"--chdir={cwd or self.home / 'work'}"]
        arguments = [*enter, "--", *there, *map(str, command)]
        if log is None:
            return self._open(arguments, env=variables)
        with log.open("a") as file:
            return self._open(arguments, env=variables, stdout=file, stderr=file)

    def fae(self, command: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Start ``python -m fae.COMMAND``, with the options of ``popen``."""
        module = [sys.executable, "-m", f"fae.{command}"]
        return self.popen(*module, *arguments, NO_LOCAL, **options)

    def end(self) -> None:
        """End all that runs on this host, and the host."""
        for process in [*self._started, self._keeper]:
            end(process)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def _open(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        stdout: int | IO[str] = subprocess.PIPE,
        stderr: int | IO[str] = subprocess.PIPE,
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=env,
            text=True,
            start_new_session=True,
        )
        if hasattr(self, "_keeper"):
            self._started.append(process)
        return process
