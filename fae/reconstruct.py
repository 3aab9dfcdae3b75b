"""The command: image files through a trained network."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import sys
from argparse import Namespace
from pathlib import Path

from fae.cli import command
from fae.cli.compose import compose
from fae.cli.options import Parser, names_and_overrides, new_folder
from fae.cli.overrides import check_taken
from fae.errors import ConfigError


def _run(given: Namespace) -> None:
    """Reconstruct images, and say where the results are.

    Raises:
        ConfigError: there is not one such run, no image, or the folder is there already.
        DataError: not all files are images.
        StoreError: there is no store, or the network cannot be read.
    """
    names, overrides = names_and_overrides(given.images)
    tracking = compose(*overrides).tracking
    check_taken(overrides)
    if not names:
        raise ConfigError("FILE: must be given, the images or folders of images to reconstruct")

    from fae.analysis import reconstruction, reconstruction_folder
    from fae.analysis.named import described, named_run
    from fae.data.folder.streaming import image_paths
    from fae.runtime.console import point, say
    from fae.runtime.formatting import format_error
    from fae.runtime.threads import limit_threads
    from fae.tracking.archive import Archive

    limit_threads()
    folder = new_folder(given.out, reconstruction_folder.KIND)
    run = named_run(given.run, Archive(tracking))
    network = run.network
    files = reconstruction.files_for(run, image_paths([Path(name) for name in names]))
    files.check()
    say(f"network  {described(run)}")
    found = reconstruction.reconstruct(network, files, invert=given.invert)
    mean = reconstruction_folder.write(folder, found, len(files), described(run))
    say(f"images   {len(files)}, MSE {format_error(mean)} on average")
    point("panel", folder / reconstruction_folder.PANEL)
    point("folder", folder)


def _arguments() -> Namespace:
    parser = Parser()
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("images", metavar="FILE", nargs="+")
    parser.add_argument("--invert", action="store_true")
    parser.add_argument("--out", metavar="FOLDER")
    return parser.parse_intermixed_args(sys.argv[1:])


def main() -> None:
    """Entry point of ``fae reconstruct`` and ``python -m fae.reconstruct``."""
    command.run(lambda: _run(_arguments()), name="reconstruct")


if __name__ == "__main__":
    main()
