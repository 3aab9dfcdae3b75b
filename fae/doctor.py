"""The command: check the installation, the data, the store and the folders."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import sys

from fae.cli import command
from fae.runtime.console import say

HELP = """Check the installation, the data, the store and the folders, and say how to fix problems.

    python -m fae.doctor [OVERRIDE ...]

The overrides are those of the train command: tracking.uri=..., data.root=...
Exit code 1 if there are problems."""


def _examine() -> None:
    from fae.runs.checks import examine

    examine(*sys.argv[1:])


def main() -> None:
    """Entry point of ``python -m fae.doctor`` and ``fae-doctor``."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        say(HELP)
        return
    command.run(_examine)


if __name__ == "__main__":
    main()
