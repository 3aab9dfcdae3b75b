"""Sweepers for Hydra, which takes them from this package only; ``fae.sweeps`` and ``fae.tuning``
do the work.
"""

import os
from itertools import islice
from math import prod
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

COUNTED = 1_000_000
"""Largest number of values of a key that is counted; a range may have any number."""


class FaeSweeper(BasicSweeper):
    """Hydra's own grid of jobs and its launcher; ``fae.sweeps`` checks, tracks and reports."""

    def sweep(self, arguments: list[str]) -> Any:
        from fae.cli.compose import jobs
        from fae.sweeps.sweep import check_size, sweep

        assert self.launcher is not None
        config, loader, parsed = _parsed(self, arguments)
        limit = OmegaConf.select(config, "sweep.max_jobs")
        if isinstance(limit, int):  # before a list of them is made; a wrong value is found later
            swept = [override for override in parsed if override.is_sweep_override()]
            counted = [islice(override.sweep_iterator(), COUNTED) for override in swept]
            check_size(prod(sum(1 for _ in values) for values in counted), limit)
        arguments = [str(override.input_line) for override in parsed]
        return sweep(config, arguments, jobs(parsed), loader, self.launcher)


class SearchSweeper(BasicSweeper):
    """Hydra's own grid of jobs, one study per job, and a table of what they found."""

    def sweep(self, arguments: list[str]) -> Any:
        from fae.cli.compose import jobs
        from fae.cli.launchers import make_folder_absolute
        from fae.errors import UndeliveredError
        from fae.runtime.console import warn
        from fae.tuning.check import check_all

        config, loader, parsed = _parsed(self, arguments)
        studies = check_all(config, jobs(parsed), loader)
        make_folder_absolute(config)
        from fae.sweeps.workers import share_machine

        assert self.launcher is not None
        share_machine(self.launcher, studies, make_folder_absolute(config))
        batches = super().sweep(arguments)
        ended = [job for batch in batches for job in batch]
        failed = [job for job in ended if job.status != JobStatus.COMPLETED]
        done = [job.return_value for job in ended if job.status == JobStatus.COMPLETED]
        from fae.tuning.results import show

        try:
            show(done)
        except UndeliveredError as lacking:
            if not failed:
                raise
            warn(str(lacking))
        for job in failed:
            _ = job.return_value  # raises the study's error
        return batches


def _parsed(
    sweeper: BasicSweeper, arguments: list[str]
) -> tuple[DictConfig, ConfigLoader, list[Override]]:
    """A multirun's configuration, Hydra's loader, and the overrides of all jobs."""
    from fae.cli.compose import parse

    assert sweeper.hydra_context is not None
    assert sweeper.config is not None
    config, loader = sweeper.config, sweeper.hydra_context.config_loader
    return config, loader, parse(config, arguments, loader)


def _mode(repeats: object) -> RunMode | None:
    """Several repeats are a sweep; for one, the option -m decides."""
    is_sweep = repeats == "auto" or (isinstance(repeats, int) and repeats > 1)
    return RunMode.MULTIRUN if is_sweep else None


def _environment(variable: str, default: str) -> str:
    """As Hydra's ``oc.env``, except that a variable that is blank counts as unset."""
    return os.environ.get(variable, "").strip() or default


OmegaConf.register_new_resolver("fae.mode", _mode, replace=True)
OmegaConf.register_new_resolver("fae.env", _environment, replace=True)
for name, sweeper in (("fae", FaeSweeper), ("search", SearchSweeper)):
    target = BasicSweeperConf(_target_=f"hydra_plugins.fae_sweeper.{sweeper.__name__}")
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=target, provider="fae")
