"""The files of a run's folder that wait for the store."""

import stat
from pathlib import Path, PurePosixPath

NAME = "outbox"


class DamagedError(Exception):
    """What waits for the store cannot be read, as after a power cut, and never will be."""


class Outbox:
    """A folder, out of which nothing leads: no name in it, no link, no pipe.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / NAME

    def place(self, path: str) -> Path:
        """Where a file or a folder waits, or is to be written.

        Raises:
            DamagedError: that would be elsewhere.
        """
        named = PurePosixPath(path)
        if named.is_absolute() or ".." in named.parts or not named.parts or "\0" in path:
            raise DamagedError(f"{self.folder}: {path!r:.200} is not in it")
        return self.folder / named

    def make_way(self, place: Path) -> None:
        """Make the folders above a place that is to be written, within the run's own folder.

        Raises:
            DamagedError: one of them is not a folder of the run's.
            OSError: the run's folder is gone, or takes none.
        """
        for folder in self._above(place):
            folder.mkdir(exist_ok=True)
            _check(folder)

    def _above(self, place: Path) -> list[Path]:
        """The folders on the way to a place, this one first."""
        folders = reversed(place.parents)
        return [folder for folder in folders if folder.is_relative_to(self.folder)]

    def find(self, path: str) -> Path | None:
        """What waits there; None if it was stored and removed.

        Raises:
            DamagedError: it would be elsewhere, or is not made of regular files.
        """
        place = self.place(path)
        try:
            for step in (*self._above(place), place):
                _check(step)
            for held in place.rglob("*"):
                _check(held)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return place


def _check(path: Path) -> None:
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DamagedError(f"{path}: neither a file nor a folder")
