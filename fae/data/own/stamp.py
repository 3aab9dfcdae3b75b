"""Whether a file of the user's has changed, told without reading it."""

import os
from pathlib import Path

Stamp = tuple[int, ...]
"""Size, times of change, and inode of a file; nothing where it cannot be had."""


def stamp(path: Path) -> Stamp:
    """What is different for a file that has changed, or is another one."""
    try:
        about = os.stat(path)
    except OSError:
        return ()
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino
