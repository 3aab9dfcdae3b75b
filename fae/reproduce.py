"""The command: train a stored run, or all runs of a sweep, again, and compare bit for bit.

Light at import, so that --help answers at once; ``fae.runs.reproduction`` does the work.
"""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from collections.abc import Sequence

from fae.cli import command
from fae.cli.compose import compose, compose_as
from fae.cli.options import names_and_overrides
from fae.cli.overrides import STORE, without
from fae.errors import ConfigError
from fae.reports.config import ReportConfig

TAKEN = ("data.root", *STORE, "tracking.silence_s", "tracking.system_metrics", "local")
"""Settings that do not change what is computed."""


def reproduce(names: Sequence[str], overrides: Sequence[str]) -> None:
    """Reproduce a run or a sweep, and say whether all is identical.

    Args:
        names: one, the beginning of an id.
        overrides: where the store and the images are.

    Raises:
        ConfigError, DataError: there is not one such run, or it cannot be trained here; nothing was
            computed.
        ReproductionError: something is different.
        StoreError: the store cannot be used, or lacks something in the end.
    """
    if len(names) != 1 or not names[0]:
        raise ConfigError("RUN: must be one run or sweep, such as latest or 31f1a576")
    config = compose(*overrides)
    if others := without(overrides, *TAKEN):
        raise ConfigError(
            f"{others[0]}: a run is reproduced with its own settings; only "
            f"{', '.join(TAKEN[:-1])} can be given"
        )
    data_root = compose_as("report", ReportConfig, *overrides).data.root  # null where not given

    from fae.analysis.named import named_run
    from fae.runs.reproductions import reproduce_all, runs_of_sweep
    from fae.tracking.archive import Archive
    from fae.tracking.recovery import close_crashed

    name, archive = names[0], Archive(config.tracking)
    close_crashed(archive)
    runs = runs_of_sweep(name, archive) or [named_run(name, archive)]
    reproduce_all(runs, config, data_root, overrides)


def main() -> None:
    """Entry point of ``fae reproduce`` and ``python -m fae.reproduce``."""
    command.run(lambda: reproduce(*names_and_overrides(command.words())), name="reproduce")


if __name__ == "__main__":
    main()
