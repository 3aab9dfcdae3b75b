"""The command: a trained network as a file that other programs run without PyTorch."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from collections.abc import Sequence

from fae.cli import command
from fae.cli.compose import compose
from fae.cli.options import new_file
from fae.cli.overrides import check_taken
from fae.errors import ConfigError


def export(words: Sequence[str]) -> None:
    """Write a network as an ONNX model, and say where it is.

    Args:
        words: the run, the file, and overrides that say where the store is.

    Raises:
        ConfigError: there is not one such run, the file is there already or cannot be written, or
            what is needed is not installed.
        StoreError: there is no store, or the network cannot be read.
    """
    if len(words) < 2:
        raise ConfigError("RUN FILE: must be given, as in fae export best network.onnx")
    name, file, *overrides = words
    path = new_file(file)
    tracking = compose(*overrides).tracking
    check_taken(overrides)

    from fae.analysis.named import described, named_run
    from fae.analysis.onnx_model import check_installed, onnx_model, origin
    from fae.runtime import files
    from fae.runtime.console import point, say
    from fae.tracking.archive import Archive

    check_installed()
    run = named_run(name, Archive(tracking))
    content = onnx_model(run.network, run.config.data.pixels, origin(run))
    files.write(path, content)
    say(f"network  {described(run)}")
    point("file", path)


def main() -> None:
    """Entry point of ``fae export`` and ``python -m fae.export``."""
    command.run(lambda: export(command.words()), name="export")


if __name__ == "__main__":
    main()
