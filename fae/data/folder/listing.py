"""Which files of a folder are images, by their names alone; nothing is opened."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fae.errors import ConfigError
from fae.runtime.console import in_one_line
from fae.runtime.formatting import shortened

ENDINGS = {
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
"""Of images, in lower case."""
OF_SYSTEMS = {"__macosx", "desktop.ini", "ehthumbs.db", "thumbs.db"}
"""Files and folders, in lower case, that systems leave beside images; so are hidden ones."""
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}
"""Names of folders that are no classes, if there are no others."""
SHOWN = 5
"""Endings and names that a message lists."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        files: paths of the images from the folder on, sorted.
        others: number of other files by their ending.
        empty: folders beside those of the classes that hold no images.
    """

    files: tuple[str, ...]
    others: Mapping[str, int]
    empty: tuple[str, ...]

    @property
    def remarks(self) -> Iterator[str]:
        """What is left out, one sentence each."""
        if self.others:
            yield f"left out: {self.others_in_words()}"
        if self.empty:
            folders = "folder has" if len(self.empty) == 1 else "folders have"
            yield f"left out: {len(self.empty)} {folders} no images: {_some(self.empty)}"

    def others_in_words(self) -> str:
        """Such as ``3 other files: .txt (2), .db (1)``."""
        most = Counter(self.others).most_common()
        count = sum(self.others.values())
        endings = _some([f"{ending or 'without ending'} ({count})" for ending, count in most])
        return f"{count} other file{'s' * (count != 1)}{': ' * (count > 0)}{endings}"


def class_of(file: str) -> str:
    """The class of an image: the first folder of its path; nothing if there is none."""
    return file.partition("/")[0] if "/" in file else ""


def listing(root: Path) -> Listing:
    """The images of a data set in a folder, and in the folders below it, which are its classes.

    Raises:
        ConfigError: there are none, it cannot be listed, or what the classes are is unclear.
    """
    found = scan(root, "data.root=")
    _check(root, found, sorted({class_of(file) for file in found.files}))
    return found


def scan(root: Path, key: str = "") -> Listing:
    """The images in a folder, and in the folders below it.

    Args:
        key: precedes the folder's name in a message.

    Raises:
        ConfigError: it cannot be listed.
    """
    files, folders, others = [], [], Counter[str]()
    for path in _paths(root, key):
        ending = os.path.splitext(path)[1].lower()
        if path.endswith("/"):
            folders.append(path[:-1])
        elif ending in ENDINGS:
            files.append(path)
        else:
            others[ending] += 1
    classes = {class_of(file) for file in files}
    empty = {folder for folder in folders if "/" not in folder} - classes
    return Listing(tuple(sorted(files)), others, tuple(sorted(empty)))


def _check(root: Path, found: Listing, classes: Sequence[str]) -> None:
    if not classes:
        raise ConfigError(
            f"data.root={root}: has no images, which are files ending in "
            f"{' '.join(sorted(ENDINGS))}; it has {found.others_in_words()}"
        )
    if "" in classes and len(classes) > 1:
        beside = [file for file in found.files if not class_of(file)]
        raise ConfigError(
            f"data.root={root}: has images beside the folders of the classes: {_some(beside)}; "
            "move each into one of the folders, or all images into one folder"
        )
    if len(classes) > 1 and {name.lower() for name in classes} <= PARTS:
        ((largest, _),) = Counter(map(class_of, found.files)).most_common(1)
        raise ConfigError(
            f"data.root={root}: {_some(classes)} would be taken for classes, as images are "
            f"split at random; put all images of a class into one folder, or name one of these "
            f"folders: data.root={root / largest}"
        )


def _paths(root: Path, key: str) -> Iterator[str]:
    """Paths of all files, and of all folders with a slash at the end, from a folder on.

    Hidden ones and those of systems are left out. Links are followed.
    """
    waiting, seen = [""], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        place = str(root / folder)
        try:
            about = os.stat(place)
            if (about.st_dev, about.st_ino) in seen:
                raise ConfigError(f"{key}{in_one_line(place)}: is in it twice, by a link")
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in OF_SYSTEMS:
                        continue
                    is_folder = entry.is_dir()
                    yield f"{folder}{entry.name}{'/' * is_folder}"
                    waiting += [f"{folder}{entry.name}/"] * is_folder
        except FileNotFoundError as error:
            raise ConfigError(f"{key}{in_one_line(place)}: there is no such folder") from error
        except NotADirectoryError as error:
            raise ConfigError(
                f"{key}{in_one_line(place)}: is not a folder; data=npz reads a .npz file"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{key}{in_one_line(place)}: cannot be listed ({error.strerror})"
            ) from error


def _some(names: Sequence[str]) -> str:
    """The first of some names, safe to print, and how many more there are."""
    return shortened([in_one_line(name) for name in names], SHOWN)
