"""The command: deliver to the store what runs could not, and close those that are dead.

    python -m fae.sync [FOLDER ...]

Folders are those of runs, or hold them; by default outputs/ and multirun/.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from fae import command
from fae.compose import compose
from fae.errors import ConfigError, FaeError, StoreError
from fae.terminal import say

FOLDERS = ("outputs", "multirun")


def sync(folders: Sequence[Path]) -> None:
    """Deliver what is left in the folders of runs, close dead ones, and say so.

    Raises:
        ConfigError: there is no such folder.
        StoreError: a store does not take it; it stays where it is.
    """
    from fae.tracking import Archive, close_dead, deliver, undelivered

    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder")
    problems: list[str] = []
    left = [folder for folder in runs_in(folders) if undelivered(folder)]
    for folder in left:
        try:
            say(f"{folder}: entries delivered: {deliver(folder)}")
        except FaeError as problem:
            problems.append(f"{folder}: {problem}")
    if problems:
        raise StoreError("\n".join(problems))
    archive = Archive.if_there(compose().tracking)
    closed = close_dead(archive) if archive else []
    for run in closed:
        say(f"{run.name} ({run.id[:8]}): ended without a word, now closed")
    if not left and not closed:
        say("nothing is left to deliver, and no run ended without a word")


def runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders of runs within some folders."""
    for folder in folders:
        yield from sorted(journal.parent for journal in folder.rglob("journal.jsonl"))


def main() -> None:
    """Entry point of ``python -m fae.sync`` and ``fae-sync``."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fae.sync", description=__doc__, formatter_class=plain)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    given = parser.parse_args().folders
    command.run(lambda: sync(given or [Path(name) for name in FOLDERS if Path(name).is_dir()]))


if __name__ == "__main__":
    main()
