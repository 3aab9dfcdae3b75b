"""The command: look inside a trained network."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import sys
from argparse import Namespace

from fae.cli import command
from fae.cli.compose import compose
from fae.cli.options import Parser, names_and_overrides, new_folder
from fae.cli.overrides import check_taken, key_of
from fae.errors import ConfigError, StoreError


def _explore(given: Namespace) -> None:
    """Write the page on a network, and say where it is.

    Raises:
        ConfigError: there is not one such run, or the folder is there already.
        DataError: the run's images are not available.
        StoreError: there is no store, or the network cannot be read.
    """
    names, overrides = names_and_overrides(given.words)
    if len(names) != 1:
        raise ConfigError(f"RUN: must be given once, not {len(names)} times; see --help")
    config = compose(*overrides)
    check_taken(overrides, "data.root")

    from platformdirs import user_cache_path

    from fae.analysis import exploration, explore_folder, inside, splits
    from fae.analysis.named import described, named_run
    from fae.runtime.console import point, say, warn
    from fae.runtime.threads import limit_threads
    from fae.tracking.archive import Archive

    limit_threads()
    folder = new_folder(given.out, explore_folder.KIND)
    run = named_run(names[0], Archive(config.tracking))
    is_elsewhere = "data.root" in {key_of(override) for override in overrides}
    source = splits.own(run, config.data.data_root if is_elsewhere else None)
    say(f"network  {described(run)}")
    hidden, cache = run.config.hidden, user_cache_path("fae")
    inputs = exploration.inputs_of(source.data_set, source.config, hidden, cache)
    found = exploration.explore(run, f"n = {hidden}", inputs)
    say(inside.accuracy(found))
    point("page", explore_folder.write(folder, found))
    try:
        exploration.keep(found)
    except StoreError as problem:
        warn(str(problem))


def _arguments() -> Namespace:
    parser = Parser()
    parser.add_argument("words", metavar="RUN", nargs="+")
    parser.add_argument("--out", metavar="FOLDER")
    return parser.parse_intermixed_args(sys.argv[1:])


def main() -> None:
    """Entry point of ``fae explore`` and ``python -m fae.explore``."""
    command.run(lambda: _explore(_arguments()), name="explore")


if __name__ == "__main__":
    main()
