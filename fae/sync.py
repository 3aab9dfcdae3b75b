"""The command: upload what runs could not, and close crashed ones."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from pathlib import Path

from fae.cli import command
from fae.cli.compose import compose


def _sync(folders: list[Path], overrides: list[str]) -> None:
    tracking = compose(*overrides).tracking

    from fae.tracking.sync import default_folders, sync

    sync(folders or default_folders(), tracking)


def main() -> None:
    """Entry point of ``fae sync`` and ``python -m fae.sync``."""
    command.run(lambda: _sync(*command.folders_and_overrides()), name="sync")


if __name__ == "__main__":
    main()
