"""Paths that a user gave: made absolute, and what is wrong with them."""

import os
import unicodedata
from pathlib import Path

LONGEST = 3800
"""Bytes of a folder's path; the system takes 4096, and runs have folders and files in it."""


def absolute(path: Path) -> Path:
    """A path of the user's, seen from the working folder; ``~`` is the home, where there is one."""
    return Path(os.path.expanduser(path)).absolute()  # Path's raises without a home


def flaw(path: Path) -> str:
    """Why runs cannot be kept at an absolute path, whatever is there; nothing if they can."""
    categories = {unicodedata.category(character) for character in str(path)}
    if "Cs" in categories:
        return "is not text in this locale; set PYTHONUTF8=1, or choose another name"
    if categories & {"Cc", "Zl", "Zp"}:
        return "has a line break or another control character in it; choose another name"
    if "${" in str(path):
        return "has ${ in it, which Hydra takes for an interpolation; choose another name"
    return too_long(path, LONGEST)


def too_long(path: Path, most: int) -> str:
    """Why a path of more than so many bytes cannot be used; nothing if it is shorter."""
    length = len(os.fsencode(path))
    return f"is {length} bytes long, {most} at most; choose a shorter one" if length > most else ""


def shown(path: Path) -> str:
    """A path for a message, which holds no half characters."""
    return str(path).encode(errors="backslashreplace").decode()
