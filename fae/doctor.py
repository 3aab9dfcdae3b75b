"""The command: check the installation, the data, the store and the folders."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from fae.cli import command

HELP = """Check the installation, the data, the store and the folders, and say how to fix problems.

    python -m fae.doctor [OVERRIDE ...]

The overrides are those of the train command: tracking.uri=..., data.root=...
Exit code 1 if there are problems."""


def _examine(overrides: list[str]) -> None:
    from fae.runs.checks import examine

    examine(*overrides)


def main() -> None:
    """Entry point of ``python -m fae.doctor`` and ``fae-doctor``."""
    overrides = command.words("fae.doctor", HELP, "OVERRIDE")
    command.run(lambda: _examine(overrides))


if __name__ == "__main__":
    main()
