"""A home for libraries that ask for one at import, where the user has none."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path


def ensure() -> None:
    """Make a folder for as long as this process lasts, and tell so, where there is no home."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = home = tempfile.mkdtemp(prefix="fae-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        sys.stderr.write(f"fae: no home (set HOME); what is cached ends with the command: {home}\n")
