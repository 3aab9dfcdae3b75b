"""The files in a run's folder that wait for their upload."""

import stat
from pathlib import Path, PurePosixPath

NAME = "outbox"


class DamagedError(Exception):
    """A file to be uploaded is damaged for good, as after a power cut."""


class Outbox:
    """A folder in which names and links cannot lead out of it.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / NAME

    def place(self, path: str) -> Path:
        """The path of a file or folder that waits or is to be written.

        Raises:
            DamagedError: it would be outside.
        """
        named = PurePosixPath(path)
        if named.is_absolute() or ".." in named.parts or not named.parts or "\0" in path:
            raise DamagedError(f"{self.folder}: {path!r:.200} is not in it")
        return self.folder / named

    def make_way(self, place: Path) -> None:
        """Create the folders above a path that is to be written, within the run's folder.

        Raises:
            DamagedError: one of them is not a folder.
            OSError: the run's folder is missing or not writable.
        """
        for folder in self._above(place):
            folder.mkdir(exist_ok=True)
            _check(folder)

    def _above(self, place: Path) -> list[Path]:
        """The folders from the outbox down to a path."""
        folders = reversed(place.parents)
        return [folder for folder in folders if folder.is_relative_to(self.folder)]

    def find(self, path: str) -> Path | None:
        """A file or folder that waits; None if it was uploaded and removed.

        Raises:
            DamagedError: it is outside, or contains something other than regular files.
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
