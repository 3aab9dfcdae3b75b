"""A launcher for tests. Hydra finds it where this folder's parent is on the path."""

import os
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn


class ElsewhereLauncher(BasicLauncher):
    """Gives jobs another working folder, ``$ELSEWHERE``, as on another machine."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        before = os.getcwd()
        os.chdir(os.environ["ELSEWHERE"])
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            os.chdir(before)


ConfigStore.instance().store(
    group="hydra/launcher",
    name="elsewhere",
    node=BasicLauncherConf(_target_=f"{__name__}.{ElsewhereLauncher.__name__}"),
)
