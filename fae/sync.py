"""The command: upload what runs could not, and close crashed ones."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from pathlib import Path

from fae.cli import command
from fae.cli.compose import compose

HELP = """Upload to the store what runs could not, and close crashed runs.

    python -m fae.sync [FOLDER ...] [OVERRIDE ...]

Folders are those of runs, or contain them; by default outputs/ and multirun/. Overrides are those
of the train command; tracking.uri=... names the store. Runs are uploaded to that store, if it has
them, and never to the address in their folder. Crashed runs are closed in the experiments of the
folders and in the one that the overrides name. Runs that are still running are left alone.
"""
"""Not the docstring, as ``python -OO`` removes it."""


def _sync(folders: list[Path], overrides: list[str]) -> None:
    tracking = compose(*overrides).tracking

    from fae.tracking.sync import default_folders, sync

    sync(folders or default_folders(), tracking)


def main() -> None:
    """Entry point of ``python -m fae.sync`` and ``fae-sync``."""
    folders, overrides = command.folders_and_overrides("fae.sync", HELP)
    command.run(lambda: _sync(folders, overrides))


if __name__ == "__main__":
    main()
