"""Which run this is: its name, its folder, its command, and its place in a sweep."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fae.config import Config
from fae.errors import ConfigError
from fae.runtime import files


@dataclass(frozen=True)
class Origin:
    """An interrupted run that a job goes on with.

    Attributes:
        run_id: of the run in the store.
        folder: where its files lie.
    """

    run_id: str
    folder: str


@dataclass(frozen=True)
class Schedule:
    """A sweep as its jobs see it; a file in the sweep's folder, so that any process can.

    Attributes:
        parent: id of the parent run in the store.
        started: when the first job was launched, seconds since the epoch.
        work: the work that each job is expected to take, in any unit.
        origins: what each job goes on with; None for a job that begins.
        first: number of the first job.
        in_turn: whether a job begins when the one before it has ended.
        kind: what all of it is called, sweep or study.
    """

    parent: str
    started: float
    work: list[float]
    origins: list[Origin | None]
    first: int = 0
    in_turn: bool = True
    kind: str = "sweep"

    def share_done(self, number: int, share_of_job: float) -> float:
        """The share of all work that is done once jobs run in order, (0, 1]."""
        done = sum(self.work[:number]) + self.work[number] * share_of_job
        return done / sum(self.work)

    def write(self, folder: Path) -> None:
        files.write(folder / "sweep.json", json.dumps(asdict(self)).encode() + b"\n")

    @staticmethod
    def read(folder: Path) -> "Schedule":
        """The schedule of the sweep in a folder.

        Raises:
            ConfigError: there is none; another sweeper than fae's was chosen.
        """
        file = folder / "sweep.json"
        if not file.exists():
            raise ConfigError("hydra/sweeper: must be fae, which plans a sweep; leave it out")
        found = json.loads(file.read_text())
        origins = [origin and Origin(**origin) for origin in found.pop("origins")]
        return Schedule(**found, origins=origins)


@dataclass(frozen=True)
class Job:
    """One run of the train command.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        folder: where its files go; exists.
        command: reproduces it.
        sweep, number: the sweep that it is part of, and its place there from 0.
        carries_on: id of the interrupted run that it goes on with, whose folder is ``folder``.
    """

    name: str
    folder: Path
    command: str
    sweep: Schedule | None = None
    number: int = 0
    carries_on: str | None = None

    def going_on_with(self, origin: Origin) -> "Job":
        """The same job as the rest of an interrupted run."""
        return replace(self, folder=Path(origin.folder), carries_on=origin.run_id)

    @property
    def label(self) -> str:
        """The name, and in a sweep which of how many jobs this is."""
        return (
            f"[{self.number + 1}/{len(self.sweep.work)}] {self.name}" if self.sweep else self.name
        )


def current_job(config: Config) -> Job:
    """The job that Hydra is running in this process."""
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    name, folder = run_name(config, overrides), Path(hydra.runtime.output_dir)
    if not OmegaConf.is_missing(hydra.job, "num"):  # as it is outside of a sweep
        schedule = Schedule.read(Path(hydra.sweep.dir).absolute())
        number = int(hydra.job.num) - schedule.first
        job = Job(name, folder, command_line(overrides), schedule, number)
        origin = schedule.origins[number]
        return job.going_on_with(origin) if origin else job
    return Job(name, folder, command_line(overrides))


def run_name(config: Config, overrides: Sequence[str]) -> str:
    """``hidden`` and ``seed``, and between them whatever else was asked for."""
    others = [o for o in _named(overrides) if not o.startswith(("hidden=", "seed=", "repeats="))]
    return " ".join([f"hidden={config.hidden}", *others, f"seed={config.seed}"])


def sweep_name(overrides: Sequence[str]) -> str:
    """What was asked for, such as ``hidden=64,128,256,512``."""
    return " ".join(_named(overrides)) or "sweep"


def _named(overrides: Sequence[str]) -> list[str]:
    """The overrides that a name tells; where things lie is none of its business."""
    return [
        o
        for o in overrides
        if not re.match(r"[+~]*(hydra|tracking|report|sweep|local|data\.root)\b", o)
    ]


def command_line(overrides: Sequence[str], *options: str, module: str = "fae.train") -> str:
    """The command that trains, or does as another module says, with these overrides."""
    return shlex.join(["python", "-m", module, *options, *overrides])
