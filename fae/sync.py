"""The command: deliver to the store what runs could not, and close those that are dead.

    python -m fae.sync [FOLDER ...] [OVERRIDE ...]

Folders are those of runs, or hold them; by default outputs/ and multirun/. Dead runs are
closed in the experiments of these, and in the one that the overrides of the train command name
(``tracking.uri=...``) or leave as it is. Runs that still go on are left alone.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fae import command
from fae.compose import compose
from fae.config import TrackingConfig
from fae.errors import ConfigError, FaeError, StoreError
from fae.terminal import say

FOLDERS = ("outputs", "multirun")


def sync(folders: Sequence[Path], tracking: TrackingConfig) -> None:
    """Deliver what is left in the folders of runs, close dead ones, and say so.

    Args:
        tracking: names the experiment, and a store beside those of the folders.

    Raises:
        ConfigError: there is no such folder.
        StoreError: a store does not take it; it stays where it is.
    """
    from fae.tracking import Archive, Link, StoredRun, close_dead, deliver, is_left

    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder")
    problems: list[str] = []
    closed: list[StoredRun] = []
    found = list(runs_in(folders))
    left = [folder for folder in found if is_left(folder)]
    for folder in left:
        try:
            say(f"{folder}: entries delivered: {deliver(folder)}")
        except FaeError as problem:
            problems.append(f"{folder}: {problem}")
    links = [link for link in map(Link.read, found) if link]
    theirs = [replace(tracking, uri=link.store, experiment=link.experiment) for link in links]
    for config in dict.fromkeys([tracking, *theirs]):
        try:
            archive = Archive.if_there(config)
            closed += close_dead(archive) if archive else []
        except StoreError as problem:
            problems.append(str(problem))
    for run in closed:
        say(f"{run.name} ({run.id[:8]}): ended without a word, now closed")
    if problems:
        raise StoreError("\n".join(problems))
    if not left and not closed:
        say("nothing is left to deliver, and no run ended without a word")


def runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders of runs within some folders: those that lead to a store."""
    for folder in folders:
        yield from sorted(link.parent for link in folder.rglob("run.json"))


def _is_override(word: str) -> bool:
    return "=" in word and not Path(word).is_dir()  # a run's folder is named by its overrides


def main() -> None:
    """Entry point of ``python -m fae.sync`` and ``fae-sync``."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fae.sync", description=__doc__, formatter_class=plain)
    parser.add_argument("words", nargs="*", metavar="FOLDER | OVERRIDE")
    words = parser.parse_args().words
    overrides = [word for word in words if _is_override(word)]
    given = [Path(word) for word in words if not _is_override(word)]
    folders = given or [Path(name) for name in FOLDERS if Path(name).is_dir()]
    command.run(lambda: sync(folders, compose(*overrides).tracking))


if __name__ == "__main__":
    main()
