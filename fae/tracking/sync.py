"""Uploads what runs could not, and closes crashed ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from fae.errors import ConfigError, FaeError, StoreError
from fae.runtime.console import say
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import Link
from fae.tracking.recovery import close_crashed, deliver, has_unsent, not_there


def sync(folders: Sequence[Path], tracking: TrackingConfig) -> None:
    """Upload what is left in the folders of runs, close crashed runs, and print what was done.

    Args:
        tracking: the store, and an experiment in addition to those of the folders.

    Raises:
        ConfigError: there is no such folder.
        StoreError: the store does not take something, also of a dead run elsewhere, or something
            is damaged; it stays where it is, and all else is done.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder")
    archive_of = cache(partial(_archive, tracking))
    experiments = dict.fromkeys([tracking.experiment])
    problems: list[str] = []
    done = False

    def tell(problem: str) -> None:
        if not any(said.endswith(problem) for said in problems):
            problems.append(problem)

    for folder in runs_in(folders):
        try:
            link = Link.read(folder)
            assert link
            experiments[link.experiment] = None
            if has_unsent(folder):
                archive = archive_of(link.experiment)
                if archive is None:
                    raise StoreError(not_there(link, tracking.uri))
                say(f"{folder}: entries uploaded: {deliver(folder, archive)}")
                done = True
        except (FaeError, OSError) as problem:
            problems.append(f"{folder}: {problem}")
    for experiment in experiments:
        try:
            archive = archive_of(experiment)
            for run in close_crashed(archive, tell) if archive else []:
                say(f"{run.name} ({run.id[:8]}): crashed, now closed")
                done = True
        except StoreError as problem:
            tell(str(problem))
    if problems:
        raise StoreError("\n".join(problems))
    if not done:
        say("nothing to upload, and no crashed runs")


def _archive(tracking: TrackingConfig, experiment: str) -> Archive | None:
    """An experiment of the store, whose paths are updated; None if it has none of this name."""
    archive = Archive.if_there(replace(tracking, experiment=experiment))
    if archive:
        archive.update_paths()
    return archive


def default_folders() -> list[Path]:
    """The folders here that hold those of runs, if no others are named."""
    return [Path(name) for name in ("outputs", "multirun") if Path(name).is_dir()]


def runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders of runs within folders: those with a link and a journal."""
    for folder in folders:
        links = sorted(folder.rglob("run.json"))
        yield from (link.parent for link in links if link.with_name("journal.jsonl").exists())
