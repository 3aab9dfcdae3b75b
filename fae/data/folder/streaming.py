"""A user's image files one after the other, of which nothing is cached or kept in memory."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fae.data.folder.listing import scan
from fae.data.folder.picture import BrokenError, Fit, pixels
from fae.data.folder.reading import content_of, each, named
from fae.errors import ConfigError, DataError
from fae.runtime.console import in_one_line, warn


@dataclass(frozen=True)
class ImageFiles:
    """Image files, each as the pixels of a square image as large as a network takes it.

    Attributes:
        paths: of the files.
        side, colour, fit: as ``fae.data.folder.picture.pixels`` has them.
    """

    paths: Sequence[Path]
    side: int
    colour: bool
    fit: Fit

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The pixels of each image, (channels * side * side,); shows the progress.

        Raises:
            DataError: a file cannot be used, although ``check`` found that it can.
        """
        for path, found in self._read("reconstructing"):
            if isinstance(found, str):
                place = in_one_line(str(path))
                raise DataError(f"{place} has changed while it was being read: {found}")
            yield found

    def check(self) -> None:
        """Check that all files can be used; shows the progress.

        Raises:
            DataError: names those that cannot.
        """
        read = self._read("checking files")
        broken = {str(path): found for path, found in read if isinstance(found, str)}
        if broken:
            count = f"{len(broken)} of {len(self)} files cannot be used"
            raise DataError(f"{count}; repair them, or leave them out\n{named(broken)}")

    def _read(self, what: str) -> Iterator[tuple[Path, NDArray[np.uint8] | str]]:
        """Each file with its pixels, or with the reason why it has none."""
        decode = partial(_decoded, side=self.side, colour=self.colour, fit=self.fit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd files that it can read
            yield from zip(self.paths, each(what, decode, self.paths), strict=True)


def _decoded(path: Path, side: int, colour: bool, fit: Fit) -> NDArray[np.uint8] | str:
    try:
        return pixels(content_of(path), side, colour, fit)
    except BrokenError as problem:
        return str(problem)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def image_paths(named: Sequence[Path]) -> list[Path]:
    """The files among these paths, and the images in the folders among them; each once, in order.

    The images in a folder are recognised by their file names' endings. A warning counts the other
    files, which are left out.

    Raises:
        ConfigError: a folder cannot be listed, or has no images.
    """
    found: list[Path] = []
    for path in named:
        if not path.is_dir():
            found.append(path)
            continue
        listed = scan(path)
        if not listed.files:
            others = listed.others_in_words()
            raise ConfigError(f"{in_one_line(str(path))}: has no images; it has {others}")
        if listed.others:
            warn(in_one_line(f"{path}: left out: {listed.others_in_words()}"))
        found += [path / file for file in listed.files]
    return [*dict.fromkeys(found)]
