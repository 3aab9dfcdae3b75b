"""A home folder for libraries that need one at import, if the user has none."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path


def ensure() -> None:
    """If there is no home folder, create one that is deleted when this process ends, and say so."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = home = tempfile.mkdtemp(prefix="fae-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        sys.stderr.write(
            f"fae: no home folder (set HOME); using one until the command ends: {home}\n"
        )
