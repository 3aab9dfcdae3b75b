"""The command: find the best settings of a network, or with -m of several, one study each.

Light at import, so that --help answers at once; ``fae.tuning.tune`` does the work.
"""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fae.cli import command
from fae.cli.compose import CONF, read
from fae.cli.overrides import command_line
from fae.config import Config
from fae.tuning.check import read_search
from fae.tuning.space import SearchArguments

if TYPE_CHECKING:
    from fae.tuning.results import Outcome

SCHEMAS = (Config, SearchArguments)


@hydra.main(version_base="1.3", config_path=CONF, config_name="search")
def run_study(node: DictConfig) -> "Outcome":
    """One study, as Hydra runs it."""
    with command.job():
        return _run_study(node)


def _run_study(node: DictConfig) -> "Outcome":
    job = HydraConfig.get()
    asked = list(job.overrides.task)
    study = read_search(read(node, Config), node, asked)

    from fae.tuning.results import show
    from fae.tuning.search import Search
    from fae.tuning.tune import tune

    repeating = command_line(asked, module="fae.search")
    outcome = tune(Search(*study, Path(job.runtime.output_dir), repeating))
    if OmegaConf.is_missing(job.job, "num"):  # as it is outside of a multirun
        show([outcome])
    return outcome


def _prepare(config: Config) -> None:
    from fae.runs.run import prepare

    prepare(config)


def main() -> None:
    """Entry point of ``fae search`` and ``python -m fae.search``."""
    command.run(run_study, *SCHEMAS, name="search", prepare=_prepare)


if __name__ == "__main__":
    main()
