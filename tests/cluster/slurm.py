"""A Slurm cluster of one node, this machine, with daemons and files of its own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cluster.servers import free_port

CPUS = 2
START_S = 60.0
REQUEUED_S = 5
"""How long a requeued job waits before it begins again; two minutes, unless so configured."""
CONFIGURATION = """\
ClusterName=fae
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={requeued_s}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
MinJobAge=600
KillWait=10
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 \
CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=6000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """munged, slurmctld and slurmd, started with the object and ended by ``end``.

    Attributes:
        environment: what commands need in theirs.

    Args:
        folder: of the daemons, with a short path, as it has a socket.

    Raises:
        OSError: a daemon cannot be started, or Slurm has no node after a minute.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        folder.chmod(0o755)  # or munged refuses it
        for name in ("state", "spool"):
            (folder / name).mkdir()
        settings = CONFIGURATION.format(
            host=os.uname().nodename.partition(".")[0],
            controller=free_port(),
            node=free_port(),
            folder=folder,
            requeued_s=REQUEUED_S,
            cpus=CPUS,
        )
        (folder / "slurm.conf").write_text(settings)
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        files = {"key-file": "munge.key", "log-file": "munged.log", "pid-file": "munged.pid"}
        files |= {"seed-file": "munge.seed", "socket": "munge.socket"}
        self._start("munged", *(f"--{key}={folder / name}" for key, name in files.items()))
        self._start("slurmctld")
        wait_for(lambda: self.ask("scontrol", "ping").startswith("Slurmctld(primary)"))
        self._start("slurmd")
        wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%t").strip() == "idle")

    def _start(self, daemon: str, *options: str) -> None:
        program = shutil.which(daemon) or f"/usr/sbin/{daemon}"
        done = subprocess.run(
            [program, *options],
            env={**os.environ, **self.environment},
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=START_S,
            check=False,
        )
        if done.returncode:
            raise OSError(f"{daemon}: {done.stderr.strip()}")

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=START_S, check=False
        )
        return done.stdout

    def states(self) -> dict[str, str]:
        """The states of all jobs by their ids."""
        listed = self.ask("squeue", "--noheader", "--array", "--states=all", "--format=%i %T")
        return dict(line.split() for line in listed.splitlines())  # type: ignore[misc]

    def end(self) -> None:
        """End all jobs, then the daemons."""
        self.ask("scancel", "--user=root")
        with suppress(TimeoutError):
            wait_for(lambda: not self.ask("squeue", "--noheader").strip())
        for daemon in ("slurmd", "slurmctld", "munged"):
            file = self.folder / f"{daemon}.pid"
            with suppress(FileNotFoundError, ProcessLookupError):
                process = int(file.read_text())
                os.kill(process, signal.SIGTERM)
                wait_for(lambda process=process: _is_gone(process))  # type: ignore[misc]


def _is_gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_for(holds: Callable[[], bool], most_s: float = START_S) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not.
    """
    deadline = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {most_s:.0f} s")
        time.sleep(0.2)
