"""The command: check the installation, the data, the store and the folders."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from fae.cli import command


def _examine(overrides: list[str]) -> None:
    from fae.runs.checks import examine

    examine(*overrides)


def main() -> None:
    """Entry point of ``fae doctor`` and ``python -m fae.doctor``."""
    command.run(lambda: _examine(command.words()), name="doctor")


if __name__ == "__main__":
    main()
