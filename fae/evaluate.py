"""The command: the errors of a trained network on images, by class."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import sys
from argparse import Namespace

from fae.cli import command
from fae.cli.compose import compose
from fae.cli.options import Parser, names_and_overrides, new_file
from fae.cli.overrides import check_taken, key_of


def _run(given: Namespace) -> None:
    """Print the table of errors, and write it to a file where that is asked for.

    Raises:
        ConfigError: there is not one such run, or no such images.
        DataError: the images are not available.
        StoreError: there is no store, or the network cannot be read.
    """
    names, overrides = names_and_overrides(given.images)
    config = compose("batch_size=1", *overrides)  # nothing is trained: few images are enough
    check_taken(overrides, "data")

    from fae.analysis import error_table, splits
    from fae.analysis.evaluation import evaluate, remarks
    from fae.analysis.named import described, named_run
    from fae.drawing.tables import TerminalTables, as_csv
    from fae.runtime import files
    from fae.runtime.console import point, say, warn, wide
    from fae.runtime.threads import limit_threads
    from fae.tracking.archive import Archive

    limit_threads()
    asked = splits.check_splits(names)
    out = None if given.out is None else new_file(given.out, "--out")
    run = named_run(given.run, Archive(config.tracking))
    network = run.network
    keys = {key_of(override) for override in overrides}
    is_other, root = "data" in keys, config.data.data_root if "data.root" in keys else None
    source = splits.other(run, config.data) if is_other else splits.own(run, root)
    say(f"network  {described(run)}")
    say(f"images   {source.config.title}")
    rows = evaluate(network, source, asked)
    wide().print(TerminalTables([error_table.terminal(rows)]))
    for note in error_table.notes(rows):
        say(note)
    for remark in remarks(run, rows) if source.is_own else ():
        warn(remark)
    if out:
        files.write(out, as_csv(error_table.records(rows)).encode())
        point("table", out)


def _arguments() -> Namespace:
    parser = Parser()
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("images", metavar="SPLIT", nargs="*")
    parser.add_argument("--out", metavar="FILE")
    return parser.parse_intermixed_args(sys.argv[1:])


def main() -> None:
    """Entry point of ``fae evaluate`` and ``python -m fae.evaluate``."""
    command.run(lambda: _run(_arguments()), name="evaluate")


if __name__ == "__main__":
    main()
