"""Reading a folder's images: checked, decoded, and cached by their content."""

import hashlib
import os
import stat
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fae.data.folder import cache
from fae.data.folder.listing import class_of, listing
from fae.data.folder.picture import BrokenError, Fit, pixels
from fae.data.own.content import WITHOUT_CLASSES, Content
from fae.data.own.stamp import Stamp, stamp
from fae.errors import DataError
from fae.runtime.console import in_one_line, track
from fae.runtime.processor import cores

LARGEST = 500_000_000
"""Bytes of a file."""
UNCERTAIN_NS = 2_000_000_000
"""A file that is no older may change once more without another time of change."""
SHOWN = 10
"""Broken files that a message names."""
AHEAD = 256
"""Files that are read before their pixels are asked for, at most."""
KEPT = 4
"""Readings that stay in memory."""

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Reading:
    """What was found in a folder.

    Attributes:
        content: the images that can be used.
        broken: why others cannot, by their path from the folder on.
    """

    root: Path
    content: Content
    broken: Mapping[str, str]

    def whole(self) -> Content:
        """The images, if all can be used.

        Raises:
            DataError: names those that cannot.
        """
        if self.broken:
            raise DataError(
                f"data.root={self.root}: {self._count()} cannot be used; repair or remove what is "
                f"named here, or leave it out by data.skip_broken=true\n{named(self.broken)}"
            )
        return self.content

    def without_broken(self) -> Content:
        """The images that can be used.

        Raises:
            DataError: there are none.
        """
        if not self.content.classes:
            raise DataError(
                f"data.root={self.root}: {self._count()} cannot be used\n{named(self.broken)}"
            )
        if not self.broken:
            return self.content
        remark = f"{self._count()} are left out, as they cannot be used\n{named(self.broken)}"
        return replace(self.content, remarks=(*self.content.remarks, remark))

    def _count(self) -> str:
        return f"{len(self.broken)} of {len(self.broken) + len(self.content)} images"


def named(broken: Mapping[str, str]) -> str:
    """The first of some files that cannot be used, one per line, each with the reason."""
    lines = [in_one_line(f"  {file}: {reason}") for file, reason in sorted(broken.items())]
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])


@dataclass(frozen=True)
class File:
    """A file as it was when it was read.

    Attributes:
        stamp: size, times of change, and inode.
        sha256: of its content.
        problem: why it cannot be read; empty if it can.
    """

    stamp: Stamp = ()
    sha256: str = ""
    problem: str = ""


def read(root: Path, side: int, colour: bool, fit: Fit) -> Reading:
    """Read all images of a folder; see ``fae.data.folder.config`` for the arguments.

    Their order depends on their classes and contents alone, not on the names of files. They stay in
    memory until a file changes.

    Raises:
        ConfigError: the folder cannot be listed, or has no images.
        DataError: it changes at the same time.
    """
    stamps = tuple((path, stamp(root / path)) for path in listing(root).files)
    return _read(root, side, colour, fit, stamps)


@lru_cache(maxsize=KEPT)
def _read(
    root: Path, side: int, colour: bool, fit: Fit, _stamps: tuple[tuple[str, Stamp], ...]
) -> Reading:
    listed = listing(root)
    files = _check(root, listed.files)
    good = [path for path in listed.files if not files[path].problem]
    order = sorted(good, key=lambda path: (_class(path), files[path].sha256))
    sums = [files[path].sha256 for path in order]
    key = cache.name(files=sums, side=side, colour=colour, fit=fit)
    width = (3 if colour else 1) * side**2
    found = cache.pixels(key, width)
    if found is None:
        to_pixels = partial(pixels, side=side, colour=colour, fit=fit)
        found = _decode(root, [*zip(order, sums, strict=True)], width, to_pixels)
        cache.save_pixels(key, *found)
    rows, wrong = found
    problems = {path: file.problem for path, file in files.items() if file.problem}
    broken = {**problems, **{order[position]: reason for position, reason in wrong.items()}}
    names = [_class(path) for position, path in enumerate(order) if position not in wrong]
    classes = sorted(set(names))
    labels = np.searchsorted(classes, names) if names else np.empty(0)
    remarks = (*listed.remarks, *_twice(len(sums) - len(set(sums))))
    content = Content(rows, labels.astype(np.int64), tuple(classes), remarks=remarks)
    return Reading(root, content, broken)


def _class(path: str) -> str:
    """The name of an image's class, printable, in one of the spellings that systems give it."""
    return in_one_line(unicodedata.normalize("NFC", class_of(path))) or WITHOUT_CLASSES


def _twice(count: int) -> Iterator[str]:
    if count:
        yield (
            f"{count} image{'s are copies' if count > 1 else ' is a copy'} of another file; "
            "training and test images may be the same"
        )


def _check(root: Path, paths: Sequence[str]) -> dict[str, File]:
    """The files with their checksums; what is known of unchanged ones is not computed again."""
    began, known = time.time_ns(), cache.checksums(root)
    found = dict(
        zip(paths, each("checking files", partial(_file, root, known), paths), strict=True)
    )
    sure = {
        path: [*file.stamp, file.sha256]
        for path, file in found.items()
        if file.sha256 and max(file.stamp[1:3]) < began - UNCERTAIN_NS
    }
    if sure != known:
        cache.save_checksums(root, sure)
    return found


def _file(root: Path, known: cache.Checksums, path: str) -> File:
    place = root / path
    try:
        before = stamp(place)
        if path in known and (*known[path][:-1],) == before:
            return File(before, known[path][-1])
        content = content_of(place)
        if stamp(place) != before:
            raise _changed(root, path)
        return File(before, hashlib.sha256(content).hexdigest())
    except BrokenError as problem:
        return File(problem=str(problem))
    except OSError as error:
        return File(problem=f"cannot be read ({error.strerror})")


def content_of(place: Path) -> bytes:
    """The content of a file; a pipe or a device is not read, which may block.

    Raises:
        BrokenError: it is none, empty, or too large.
        OSError: it cannot be read.
    """
    with open(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BrokenError("is not a file")
        if about.st_size == 0:
            raise BrokenError("is empty")
        if about.st_size > LARGEST:
            raise BrokenError(f"has {about.st_size:,} bytes, {LARGEST:,} at most")
        return file.read(LARGEST)


def _changed(root: Path, path: str) -> DataError:
    place = in_one_line(str(root / path))
    return DataError(f"data.root: {place} has changed while it was being read; start again")


def _decode(
    root: Path,
    files: Sequence[tuple[str, str]],
    width: int,
    to_pixels: Callable[[bytes], NDArray[np.uint8]],
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """The pixels of files that can be used, (images, width), and why others cannot, by position.

    Args:
        files: paths with checksums.

    Raises:
        DataError: a file is not as its checksum says.
    """

    def decode(file: tuple[str, str]) -> NDArray[np.uint8] | str:
        try:
            content = content_of(root / file[0])
            if hashlib.sha256(content).hexdigest() != file[1]:
                raise _changed(root, file[0])
            return to_pixels(content)
        except BrokenError as problem:
            return str(problem)
        except OSError as error:
            raise _changed(root, file[0]) from error

    rows, broken = np.empty((len(files), width), np.uint8), dict[int, str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd files that it can read
        for position, found in enumerate(each("reading images", decode, files)):
            if isinstance(found, str):
                broken[position] = found
            else:
                rows[position - len(broken)] = found
    return rows[: len(files) - len(broken)], broken


def each(what: str, do: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """The results for some items in their order, from several threads; shows the progress.

    At most ``AHEAD`` results are kept until they are asked for.
    """
    pool = ThreadPoolExecutor(cores())
    try:
        parts = (items[start : start + AHEAD] for start in range(0, len(items), AHEAD))
        found = (result for part in parts for result in pool.map(do, part))
        yield from track(what, found, len(items))
    finally:
        pool.shutdown(cancel_futures=True)
