"""Train and compare auto-encoders, on the command line or from Python; see ``fae.api``."""

import sys
from typing import TYPE_CHECKING

if sys.platform == "win32":  # nothing below can be imported there
    sys.stderr.write("fae: does not run on Windows itself; run it under WSL, https://aka.ms/wsl\n")
    sys.exit(2)

if TYPE_CHECKING:
    from fae.api import compose, fit, load_model, load_runs, write_report

__all__ = ["compose", "fit", "load_model", "load_runs", "write_report"]


def __getattr__(name: str) -> object:
    """Import what is used, when it is used: a command that only helps answers at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fae import api

    return getattr(api, name)
