"""A project that was moved, renamed or copied, and whose store has paths in the old place.

The database has absolute paths: MLflow's of each run's artifacts, and fae's of each run's folder.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fae.runtime.console import say

ARTIFACTS = "mlruns"
FOLDERS = ("fae.folder", "fae.slurm.folder")
"""Tags that hold folders: of a run, and of a sweep that has jobs of Slurm."""
LOCATIONS = (
    ("experiments", "artifact_location", "TRUE"),
    ("runs", "artifact_uri", "TRUE"),
    ("logged_models", "artifact_location", "TRUE"),
    ("model_versions", "source", "TRUE"),
    ("model_versions", "storage_location", "TRUE"),
    ("tags", "value", f"key IN {FOLDERS}"),
)
"""MLflow's tables and columns that have such paths, and in which rows."""


@dataclass(frozen=True)
class Move:
    """Where a project was, and where it is now.

    Attributes:
        old, new: the folder with the database and ``mlruns/``.
    """

    old: Path
    new: Path

    def __str__(self) -> str:
        return f"{self.old} is now {self.new}"

    def now(self, location: str) -> str:
        """The new location of something in the old folder; a path or a ``file:`` address."""
        for old, new in self._prefixes():
            if location.startswith(old):
                return new + location.removeprefix(old)
        return location

    def apply(self, database: Path) -> None:
        """Replace all paths of the old folder in the database, in one transaction, and say so.

        Raises:
            sqlite3.Error: the database cannot be written.
        """
        with closing(sqlite3.connect(database)) as connection, connection:
            for old, new in self._prefixes():
                places = {"old": old, "new": new}
                for table, column, which in LOCATIONS:
                    connection.execute(
                        f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "
                        f"WHERE substr({column}, 1, length(:old)) = :old AND {which}",
                        places,
                    )
        say(f"{self}; the paths in {database.name} are updated")

    def _prefixes(self) -> list[tuple[str, str]]:
        return [
            (f"{self.old.as_uri()}/", f"{self.new.as_uri()}/"),
            (f"{self.old}/", f"{self.new}/"),
        ]


def find_move(database: Path, location: str) -> Move | None:
    """How a project was moved; None if it was not, or if its files were left behind.

    Args:
        database: of the store.
        location: of an experiment's artifacts, as in the database.
    """
    artifacts = Path(unquote(urlsplit(location).path))
    move = Move(artifacts.parent, database.parent)
    if artifacts.name != ARTIFACTS or move.old == move.new:
        return None
    if move.old.exists() and move.old.samefile(move.new):
        return None
    with closing(sqlite3.connect(database)) as connection:
        places = connection.execute(
            "SELECT artifact_uri FROM runs UNION ALL "
            "SELECT value FROM tags WHERE key = 'fae.folder' ORDER BY 1"
        )
        for (place,) in places:
            now = move.now(place or "")
            if now != place and Path(unquote(urlsplit(now).path)).is_dir():
                return move
    return None
