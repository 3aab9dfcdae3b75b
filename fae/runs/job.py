"""Jobs: what a run is called, where its files go, which command makes it, and its place among
others.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fae.cli.overrides import command_line, run_name
from fae.config import Config
from fae.errors import ConfigError
from fae.runtime import files

GROUP_FILE = "sweep.json"
"""Where a sweep's folder has the group of its jobs."""


@dataclass(frozen=True)
class JobGroup:
    """Jobs under one parent run, such as those of a sweep; a file tells other processes of it.

    Attributes:
        parent: id of the parent run in the store; empty if they have none.
        started: when the first job was launched, seconds since the epoch.
        work: expected work of each job, in any unit; of one that resumes, what was left of it.
        names: of the jobs; of a sweep only, as other processes run its jobs.
        first: number of the first job.
        in_turn: whether each job starts when the one before it has ended.
        kind: what the jobs are together, such as a sweep.
        colours: of the jobs in the UI, in turn, ``#rrggbb``; none: the UI chooses.
    """

    parent: str
    started: float
    work: list[float]
    names: list[str] = field(default_factory=list)
    first: int = 0
    in_turn: bool = True
    kind: str = "sweep"
    colours: list[str] = field(default_factory=list)

    def share_done(self, number: int, share_of_job: float) -> float:
        """The share of all work that is done, (0, 1], if jobs run in order.

        Args:
            number: of the current job, from 0.
            share_of_job: share of this work that is done.
        """
        done = sum(self.work[:number]) + self.work[number] * share_of_job
        return done / sum(self.work)

    def after(self, earlier: "JobGroup") -> "JobGroup":
        """The group with the jobs before it of the same folder, which may not have begun yet.

        The numbers of its own jobs follow theirs.
        """
        return replace(
            self,
            work=[*earlier.work, *self.work],
            names=[*earlier.names, *self.names],
            first=earlier.first,
            colours=[*earlier.colours, *self.colours],
        )

    def write(self, folder: Path) -> None:
        files.write(folder / GROUP_FILE, json.dumps(asdict(self)).encode() + b"\n")

    @staticmethod
    def read(folder: Path) -> "JobGroup":
        """The group of the sweep in a folder.

        Raises:
            ConfigError: there is none; another sweeper than fae's was chosen.
        """
        file = folder / GROUP_FILE
        if not file.exists():
            raise ConfigError("hydra/sweeper: must be fae, which plans a sweep; leave it out")
        return JobGroup(**json.loads(file.read_text()))


@dataclass(frozen=True)
class Job:
    """A run, or the parent of several, about to begin.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        folder: for the files of a new run, created when it begins; a resumed run keeps its own.
        command: reproduces it.
        group, number: the jobs that it is one of, and its place among them, from 0.
    """

    name: str
    folder: Path
    command: str
    group: JobGroup | None = None
    number: int = 0

    @property
    def label(self) -> str:
        """The name, and in a group its place among the jobs: ``[2/4] hidden=128 seed=0``."""
        place = f"[{self.number + 1}/{len(self.group.work)}] " if self.group else ""
        return place + self.name

    @property
    def colour(self) -> str | None:
        """In the UI; None: the UI chooses."""
        colours = self.group.colours if self.group else []
        return colours[self.number % len(colours)] if colours else None


def new_folder() -> Path:
    """Where the files of a run go that is not Hydra's job."""
    return Path(f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}").absolute()


def current_job(config: Config) -> Job:
    """The job that Hydra is running in this process."""
    hydra = HydraConfig.get()
    overrides, folder = list(hydra.overrides.task), Path(hydra.runtime.output_dir)
    command = command_line(overrides)
    if OmegaConf.is_missing(hydra.job, "num"):  # as it is outside of a sweep
        return Job(run_name(config, overrides), folder, command)
    group = JobGroup.read(Path(hydra.sweep.dir).absolute())
    number = int(hydra.job.num) - group.first
    return Job(group.names[number], folder, command, group, number)
