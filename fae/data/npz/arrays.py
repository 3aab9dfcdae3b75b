"""The arrays of a NumPy file: their headers are checked before anything is loaded.

Nothing is ever unpickled, and no more is read than the headers say.
"""

import io
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fae.data.config import MAX_PIXELS
from fae.data.own.content import WITHOUT_CLASSES, Content
from fae.data.own.stamp import Stamp, stamp
from fae.errors import ConfigError, DataError, FaeError, first_line
from fae.runtime.console import in_one_line

MOST_CLASSES = 65_536
LONGEST_LIST = 10_000_000
"""Bytes of the names of the classes."""
LONGEST_HEADER = 10_000
"""Bytes of an array's header."""
MUST = "must be (images, side, side) or (images, side, side, 3), in uint8 or as floats in [0, 1]"
NAMES = ("images", "labels", "classes", "test_images", "test_labels")
SHOWN = 200
"""Characters of names that a message shows."""
KEPT = 4
"""Files whose images stay in memory."""


@dataclass(frozen=True)
class Header:
    """Of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class Described:
    """What a file holds, by its headers.

    Attributes:
        images, test_images: numbers of images.
        headers: of the arrays, by name.
    """

    images: int
    test_images: int
    side: int
    colour: bool
    headers: Mapping[str, Header]


def described(path: Path) -> Described:
    """What a file holds; the arrays themselves are not read.

    Raises:
        ConfigError: it is no such file, or its arrays are not those of images.
    """
    with _opened(path) as archive:
        headers = {name: _header(path, archive, name) for name in _arrays(path, archive)}
    side, colour = _layout(path, "images", headers["images"])
    tested = headers.get("test_images")
    if tested and _layout(path, "test_images", tested) != (side, colour):
        raise _wrong(path, "images and test_images differ in size or channels")
    for labels in {"labels", "test_labels"} & headers.keys():
        count = headers[labels.replace("labels", "images")].shape[0]
        if headers[labels].shape != (count,) or headers[labels].dtype.kind not in "iu":
            raise _wrong(path, f"{labels} is {headers[labels]}, must be {count} whole numbers")
    classes = headers.get("classes")
    if classes and (classes.dtype.kind != "U" or len(classes.shape) != 1):
        raise _wrong(path, f"classes is {classes}, must be a list of texts")
    if classes and classes.shape[0] > MOST_CLASSES:
        raise _wrong(path, f"has {classes.shape[0]} classes; at most {MOST_CLASSES} are possible")
    count = headers["images"].shape[0]
    return Described(count, tested.shape[0] if tested else 0, side, colour, headers)


def read(path: Path) -> Content:
    """The images of a file, which stay in memory until it changes.

    Raises:
        ConfigError: it is no such file, or its arrays are not those of images.
        DataError: their values are not those of images and labels.
    """
    return _read(path, stamp(path))


@lru_cache(maxsize=KEPT)
def _read(path: Path, _stamp: Stamp) -> Content:
    about = described(path)
    with _opened(path) as archive:
        arrays = {
            name: _array(path, archive, name, header) for name, header in about.headers.items()
        }
    names = [name for name in ("images", "test_images") if name in arrays]
    pixels = np.concatenate([_pixels(path, name, arrays[name], about.colour) for name in names])
    given = [arrays[name] for name in ("labels", "test_labels") if name in arrays]
    labels = np.concatenate(given) if given else np.zeros(len(pixels), np.int64)
    classes = _classes(path, labels, arrays.get("classes"), is_labelled=bool(given))
    return Content(pixels, labels.astype(np.int64), classes, about.test_images or None)


def _arrays(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays that are read, of those in a file."""
    there = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    used = [name for name in NAMES if name in there]
    if "images" not in used:
        listed = in_one_line(", ".join(there)[:SHOWN]) or "no array at all"
        raise _wrong(path, f"has no array images; it has {listed}")
    if ("test_labels" in used) != {"labels", "test_images"}.issubset(used):
        raise _wrong(path, "must have test_labels where it has labels and test_images, only there")
    if "classes" in used and "labels" not in used:
        raise _wrong(path, "has classes, but not labels")
    return used


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A file as an archive; what is wrong with it within the block is a ``ConfigError``."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # a pipe would block
        with open(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _wrong(path, "is not a file")
            with zipfile.ZipFile(file) as archive:
                yield archive
    except FaeError:
        raise
    except IsADirectoryError as error:
        raise _wrong(path, "is a folder; data=folder reads a folder of images") from error
    except OSError as error:
        raise _wrong(path, f"cannot be read ({error.strerror or error})") from error
    except MemoryError:
        raise
    except Exception as error:  # zipfile and NumPy raise many for what is damaged or malicious
        raise _wrong(
            path, f"is not a file of numpy.savez, or damaged ({first_line(error)})"
        ) from error


def _header(path: Path, archive: zipfile.ZipFile, name: str) -> Header:
    """The header of an array.

    Raises:
        ConfigError: the array is too large, holds objects, or is not as large as its header says.
    """
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        start = io.BytesIO(file.read(LONGEST_HEADER))  # whatever length it claims to have
    is_short = npy.read_magic(start) == (1, 0)
    read = npy.read_array_header_1_0 if is_short else npy.read_array_header_2_0
    try:
        shape, _, dtype = read(start)
    except (MemoryError, RecursionError) as error:  # of Python's parser, about signs without end
        raise _wrong(path, f"{name} is damaged: its header cannot be read") from error
    found = Header(shape, dtype)
    if dtype.hasobject:
        raise _wrong(path, f"{name} holds Python objects, which are not read")
    size, most = prod(shape) * dtype.itemsize, LONGEST_LIST if name == "classes" else MAX_PIXELS
    if size > most:
        raise _wrong(path, f"{name} is {found} of {size:,} bytes, {most:,} at most")
    if info.file_size != start.tell() + size:
        raise _wrong(path, f"{name} is damaged: it has not as many bytes as its shape says")
    return found


def _array(path: Path, archive: zipfile.ZipFile, name: str, header: Header) -> NDArray[Any]:
    """An array with a header that has been checked."""
    if _header(path, archive, name) != header:
        raise _wrong(path, "has changed while it was being read")
    with archive.open(f"{name}.npy") as file:
        found: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        file.read(1)  # its end, at which its checksum is compared
    return found


def _layout(path: Path, name: str, header: Header) -> tuple[int, bool]:
    """The side of images, and whether they are in colour; channels are first or last."""
    images, *shape = header.shape or (0,)
    if len(shape) == 2:
        shape = [*shape, 1]
    elif len(shape) == 3 and shape[2] not in {1, 3}:
        shape = [*shape[1:], shape[0]]
    fits = len(shape) == 3 and shape[0] == shape[1] >= 1 and shape[2] in {1, 3} and images >= 1
    if not fits or not (header.dtype == np.uint8 or header.dtype.kind == "f"):
        raise _wrong(path, f"{name} is {header}, {MUST}")
    return shape[0], shape[2] == 3


def _pixels(path: Path, name: str, images: NDArray[Any], colour: bool) -> NDArray[np.uint8]:
    """Images as bytes, channel first, (images, pixels)."""
    if images.dtype.kind == "f":
        if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
            low, high = images.min(), images.max()
            raise DataError(
                f"data.root={path}: {name} has values from {low:g} to {high:g}; floats must be "
                "from 0 to 1, or save bytes: images.astype(np.uint8)"
            )
        images = (images * 255).round()
    if colour and images.shape[3] == 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images, dtype=np.uint8).reshape(len(images), -1)


def _classes(
    path: Path, labels: NDArray[Any], names: NDArray[Any] | None, *, is_labelled: bool
) -> tuple[str, ...]:
    """Names of the classes by label; numbers where the file has none."""
    if not is_labelled:
        return (WITHOUT_CLASSES,)
    most = MOST_CLASSES if names is None else len(names)
    if labels.min() < 0 or labels.max() >= most:
        raise DataError(
            f"data.root={path}: labels are from {labels.min()} to {labels.max()}; must be from 0 "
            f"to {most - 1}{'' if names is None else ', as there are so many classes'}"
        )
    if names is None:
        return tuple(map(str, range(labels.max() + 1)))
    return tuple(in_one_line(str(name)) for name in names)


def _wrong(path: Path, what: str) -> ConfigError:
    return ConfigError(f"data.root={path}: {in_one_line(what)}")
