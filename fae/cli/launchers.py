"""Where the jobs of a multirun run: in which process, on which machine, in which folder."""

from pathlib import Path

from omegaconf import DictConfig

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def in_this_process(base: DictConfig) -> bool:
    """Whether the jobs run one after the other in the process that launches them.

    Args:
        base: Hydra's configuration of the multirun.
    """
    return _class(base) == BASIC


def on_this_machine(base: DictConfig) -> bool:
    """Whether all jobs run on the machine of the process that launches them, as far as is known."""
    return _class(base) in (BASIC, JOBLIB)


def make_folder_absolute(base: DictConfig) -> Path:
    """Make ``hydra.sweep.dir`` absolute, as jobs may have another working folder; returns it.

    Changes the configuration that launchers get, and those of jobs that Hydra composes later.
    """
    folder = Path(base.hydra.sweep.dir).absolute()
    base.hydra.sweep.dir = str(folder)
    quoted = str(folder).replace("'", r"\'")  # for Hydra's grammar
    base.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")
    return folder


def _class(base: DictConfig) -> str:
    return str(base.hydra.launcher._target_)
