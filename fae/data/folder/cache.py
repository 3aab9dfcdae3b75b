"""What is kept of folders in the user's cache: checksums of files, and their pixels.

A damaged or missing file of the cache is ignored.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from fae.data.own.known import cached, save
from fae.runtime.digest import short_digest

FORMAT = 1
"""Of the pixels; to be raised when images become other pixels than before."""
KIND = "folder"

Checksums = Mapping[str, Sequence[Any]]
"""By the path of a file: how it was when it was read (size, times, inode), and its SHA-256."""


def checksums(root: Path) -> Checksums:
    """The checksums of the files of a folder, as far as they are known."""
    content = _load(_of(root))
    return {} if content is None else dict(json.loads(content))


def save_checksums(root: Path, found: Checksums) -> None:
    """Replace the checksums of the files of a folder."""
    _save(_of(root), json.dumps(found).encode())


def _of(root: Path) -> Path:
    return cached(KIND, f"files-{short_digest(str(root))}")


def name(**determines: object) -> str:
    """A name for the pixels that are determined by some values, and by the version of Pillow."""
    return short_digest(json.dumps([FORMAT, PIL.__version__, determines], sort_keys=True))


def pixels(name: str, width: int) -> tuple[NDArray[np.uint8], dict[int, str]] | None:
    """The pixels that were saved under a name, as ``save_pixels`` has them; None if there are none.

    Args:
        width: number of values of an image.
    """
    content = _load(cached(KIND, f"pixels-{name}"))
    if content is None:
        return None
    head, _, _ = content.partition(b"\n")
    broken = {int(position): reason for position, reason in json.loads(head).items()}
    return np.frombuffer(content, np.uint8, offset=len(head) + 1).reshape(-1, width), broken


def save_pixels(name: str, rows: NDArray[np.uint8], broken: Mapping[int, str]) -> None:
    """Save pixels under their name.

    Args:
        rows: (images, values) of the images that can be read.
        broken: why others cannot, by their positions among all images.
    """
    head = json.dumps(broken).encode() + b"\n"
    _save(cached(KIND, f"pixels-{name}"), head + rows.tobytes())


def _load(path: Path) -> bytearray | None:
    """The content of a file of the cache, without the checksum that precedes it."""
    with suppress(OSError), path.open("rb") as file:
        checksum = file.read(hashlib.sha256().digest_size)
        content = bytearray(file.read())
        if hashlib.sha256(content).digest() == checksum:
            return content
    return None


def _save(path: Path, content: bytes) -> None:
    save(path, hashlib.sha256(content).digest() + content)
