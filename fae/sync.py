"""The command: upload what runs could not, and close crashed ones."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fae.cli import command
from fae.cli.compose import compose
from fae.errors import ConfigError, FaeError, StoreError
from fae.runtime.console import say
from fae.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from fae.tracking.archive import Archive
    from fae.tracking.folder import Link

HELP = """Upload to the store what runs could not, and close crashed runs.

    python -m fae.sync [FOLDER ...] [OVERRIDE ...]

Folders are those of runs, or contain them; by default outputs/ and multirun/. Overrides are those
of the train command; tracking.uri=... names the store. Runs are uploaded to that store, if it has
them, and never to the address in their folder. Crashed runs are closed in the experiments of the
folders and in the one that the overrides name. Runs that are still running are left alone.
"""
"""Not the docstring, as ``python -OO`` removes it."""

FOLDERS = ("outputs", "multirun")


def sync(folders: Sequence[Path], tracking: TrackingConfig) -> None:
    """Upload what is left in the folders of runs, close crashed runs, and print what was done.

    Args:
        tracking: the store, and an experiment in addition to those of the folders.

    Raises:
        ConfigError: there is no such folder.
        StoreError: the store does not take something, also of a dead run elsewhere, or something
            is damaged; it stays where it is, and all else is done.
    """
    from fae.tracking.folder import Link
    from fae.tracking.recovery import has_unsent

    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder")
    problems: list[str] = []
    done = False
    experiments = dict.fromkeys([tracking.experiment])
    archive_of = cache(partial(_archive, tracking))

    def tell(problem: str) -> None:
        if not any(said.endswith(problem) for said in problems):
            problems.append(problem)

    for folder in runs_in(folders):
        try:
            link = Link.read(folder)
            assert link
            experiments[link.experiment] = None
            if has_unsent(folder):
                _upload(folder, link, archive_of(link.experiment), tracking.uri)
                done = True
        except (FaeError, OSError) as problem:
            problems.append(f"{folder}: {problem}")
    for experiment in experiments:
        try:
            done |= _close_crashed(archive_of(experiment), tell)
        except StoreError as problem:
            tell(str(problem))
    if problems:
        raise StoreError("\n".join(problems))
    if not done:
        say("nothing to upload, and no crashed runs")


def _archive(tracking: TrackingConfig, experiment: str) -> "Archive | None":
    """An experiment of the store, whose paths are updated; None if it has none of this name."""
    from fae.tracking.archive import Archive

    archive = Archive.if_there(replace(tracking, experiment=experiment))
    if archive:
        archive.update_paths()
    return archive


def _upload(folder: Path, link: "Link", archive: "Archive | None", uri: str) -> None:
    from fae.tracking.recovery import deliver, not_there

    if archive is None:
        raise StoreError(not_there(link, uri))
    say(f"{folder}: entries uploaded: {deliver(folder, archive)}")


def _close_crashed(archive: "Archive | None", tell: Callable[[str], object]) -> bool:
    """Close crashed runs, and print which; whether there were any."""
    from fae.tracking.recovery import close_crashed

    closed = close_crashed(archive, tell) if archive else []
    for run in closed:
        say(f"{run.name} ({run.id[:8]}): crashed, now closed")
    return bool(closed)


def runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders of runs within folders: those with a link and a journal."""
    for folder in folders:
        links = sorted(folder.rglob("run.json"))
        yield from (link.parent for link in links if link.with_name("journal.jsonl").exists())


def _is_override(word: str) -> bool:
    return (
        "=" in word and not Path(word).is_dir()
    )  # the folder of a run is named after its overrides


def main() -> None:
    """Entry point of ``python -m fae.sync`` and ``fae-sync``."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fae.sync", description=HELP, formatter_class=plain)
    parser.add_argument("words", nargs="*", metavar="FOLDER | OVERRIDE")
    words = parser.parse_args().words
    overrides = [word for word in words if _is_override(word)]
    given = [Path(word) for word in words if not _is_override(word)]
    folders = given or [Path(name) for name in FOLDERS if Path(name).is_dir()]
    command.run(lambda: sync(folders, compose(*overrides).tracking))


if __name__ == "__main__":
    main()
