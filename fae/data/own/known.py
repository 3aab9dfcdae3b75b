"""The places of images that this user has named before, and what is cached of them.

A report finds the images of a run where the run found them. What a store says of that is believed
only if the user has named the same place to a command here.
"""

from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from fae.runtime import files
from fae.runtime.digest import short_digest


def cached(kind: str, name: str) -> Path:
    """The path of a file in the user's cache."""
    return user_cache_path("fae") / kind / name


def save(path: Path, content: bytes) -> None:
    """Write a file of the cache; without a cache everything works, only slower."""
    with suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)


def remember(root: Path) -> None:
    """Remember that the user has named a place."""
    if not is_known(root):
        save(_path(root), str(root).encode())


def is_known(root: Path) -> bool:
    """Whether the user has named a place to a command before."""
    return _path(root).is_file()


def _path(root: Path) -> Path:
    return cached("roots", short_digest(str(root)))
