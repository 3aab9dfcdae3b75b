"""Which run this is: its name, its folder, its command, and its place in a sweep."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fae.config import Config


@dataclass(frozen=True)
class Plan:
    """A sweep as its jobs see it; a file in the sweep's folder, so that any process can.

    Attributes:
        parent: id of the parent run in the store.
        started: when the first job was launched, seconds since the epoch.
        work: the work that each job is expected to take, in any unit.
    """

    parent: str
    started: float
    work: list[float]

    def share_done(self, number: int, share_of_job: float) -> float:
        """The share of all work that is done once jobs run in order, (0, 1]."""
        done = sum(self.work[:number]) + self.work[number] * share_of_job
        return done / sum(self.work)

    def write(self, folder: Path) -> None:
        (folder / "sweep.json").write_text(json.dumps(asdict(self)) + "\n")

    @staticmethod
    def read(folder: Path) -> "Plan":
        return Plan(**json.loads((folder / "sweep.json").read_text()))


@dataclass(frozen=True)
class Job:
    """One run of the train command.

    Attributes:
        name: what varies, such as ``hidden=64 seed=0``.
        folder: where its files go; exists.
        command: reproduces it.
        sweep, number: the sweep that it is part of, and its place there from 0.
    """

    name: str
    folder: Path
    command: str
    sweep: Plan | None = None
    number: int = 0

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
        plan = Plan.read(Path(hydra.sweep.dir).absolute())
        return Job(name, folder, command_line(overrides), plan, int(hydra.job.num))
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
        o for o in overrides if not re.match(r"[+~]*(hydra|tracking|report|local|data\.root)\b", o)
    ]


def command_line(overrides: Sequence[str], *options: str) -> str:
    """The command that trains with these overrides."""
    return shlex.join(["python", "-m", "fae.train", *options, *overrides])
