"""The jobs that a sweep has submitted, in a file of its folder.

Any command that sees the folder, on whatever machine, knows by it which jobs compute which runs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from fae.runtime import files
from fae.runtime.console import warn

NAME = "slurm.json"
LOGS = "slurm"
"""Folder, within that of the sweep that submitted them, of the jobs' logs."""


@dataclass(frozen=True)
class Submitted:
    """A job of a sweep.

    Attributes:
        job: its id, such as ``8_3``, or ``9`` of a job by itself.
        fingerprint: of its run.
        folder: of the sweep that submitted it, absolute.
        end: the state in which it ended, such as CANCELLED; empty until a command has seen that.
    """

    job: Annotated[str, Field(pattern=r"^\d{1,20}(_\d{1,20})?$")]
    fingerprint: str
    folder: str
    end: str = ""

    def log(self, stream: str = "out") -> Path:
        """Its log, as submitit names it.

        Args:
            stream: ``out`` or ``err``.
        """
        return Path(self.folder, LOGS, f"{self.job}_0_log.{stream}")


RECORD = TypeAdapter(list[Submitted])


def read(folder: Path) -> list[Submitted]:
    """The jobs of the sweep in a folder, oldest first; none if it has none of Slurm's.

    A file that others wrote, or that is damaged, counts as none.
    """
    path = folder / NAME
    try:
        return RECORD.validate_json(files.read_own(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValidationError) as problem:
        warn(f"{path}: cannot be read ({str(problem).splitlines()[0]}); its jobs are not watched")
        return []


def add(folder: Path, jobs: Sequence[Submitted]) -> None:
    """Add jobs to those of a sweep, in whose folder they are from now on."""
    known = {job.job: job for job in [*read(folder), *jobs]}
    _write(folder, [*known.values()])


def note_ends(folder: Path, ends: Mapping[str, str]) -> None:
    """Note the states in which jobs ended, by their ids."""
    jobs = read(folder)
    _write(folder, [replace(job, end=ends.get(job.job, job.end)) for job in jobs])


def _write(folder: Path, jobs: Sequence[Submitted]) -> None:
    files.write(folder / NAME, json.dumps([asdict(job) for job in jobs], indent=1).encode() + b"\n")
