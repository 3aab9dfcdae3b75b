"""Where this process runs: the machine, which of its boots, and the job of a cluster.

Processes of one boot share its file locks; after another boot none of an earlier one is alive.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from fae.runtime.digest import short_digest

MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Boot:
    """A boot of a machine, by digests: systemd asks that a machine's own id is not published.

    Attributes:
        machine: the same after a reboot; machines that were copied from one image may share it.
        boot: of this boot; where the system does not tell, of the host's name.
    """

    machine: str
    boot: str

    def __str__(self) -> str:
        return f"{self.machine}/{self.boot}"

    @staticmethod
    def parse(text: str) -> "Boot | None":
        """A boot from its text; None if it is not one."""
        machine, separator, boot = text.partition("/")
        return Boot(machine, boot) if machine and separator and boot else None

    @staticmethod
    def current() -> "Boot":
        """The boot in which this process runs."""
        machine, boot = (_read(file) or platform.node() for file in (MACHINE_ID, BOOT_ID))
        return Boot(short_digest(f"machine {machine}"), short_digest(f"{machine} boot {boot}"))


def slurm_job() -> str:
    """Id of the Slurm job in which this process runs, such as ``8_3``; empty outside of one."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID", "") for part in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
