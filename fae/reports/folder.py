"""The folder of a report: written as a whole or not at all, over nothing but an older report."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from matplotlib.figure import Figure

from fae.drawing.sheets import DPI
from fae.errors import ConfigError
from fae.runtime import folders

SUMMARY = "summary.json"
TEXTS = ("report.html", "table.md", "table.csv", "table.tex", SUMMARY)
"""The files of a report beside its figures."""
FIGURES = "figures"
FORMATS = (".png", ".svg")


def folder_name(name: str) -> str:
    """A name that every file system accepts, of at most 150 bytes."""
    kept = re.sub(r"[^\w.,=+-]+", "_", name).strip("._")
    return kept.encode()[:150].decode(errors="ignore") or "report"


def check_replaceable(folder: Path) -> None:
    """Check that a folder holds a report or nothing, so that it may be replaced.

    Raises:
        ConfigError: it holds something else, or is none.
    """
    other = _first_other(folder)
    is_report = (folder / SUMMARY).exists()
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if other or (folder.exists() and not is_report and not is_empty):
        shown = f", as {other}" if other else ""
        raise ConfigError(
            f"out={folder}: would be replaced, and is not a report or holds more{shown}; "
            "name another folder"
        )


def _first_other(folder: Path) -> str | None:
    """The first thing in a folder that is not part of a report; the rest is not listed."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return next((path.as_posix() for path in paths if not _is_of_report(path)), None)


def _is_of_report(path: PurePath) -> bool:
    """Whether a report of any version may hold a file or folder."""
    in_figures = path.parent.as_posix() == FIGURES and path.suffix in FORMATS
    return in_figures or path.as_posix() in {*TEXTS, FIGURES}


def write(folder: Path, texts: Mapping[str, str], drawn: Mapping[str, Figure]) -> None:
    """Write all files into a folder beside this one, which then takes its place.

    Args:
        texts: by their paths in the folder.
        drawn: figures of pictures, written as PNG, by name.

    Raises:
        OSError: they cannot be written; the folder is as it was.
    """
    assert all(_is_of_report(PurePath(path)) for path in texts), "or it could not be replaced"
    with folders.whole(folder, "report", lambda found: not _first_other(found)) as fresh:
        (fresh / FIGURES).mkdir()
        for path, text in texts.items():
            (fresh / path).write_text(text, encoding="utf-8")
        for name, figure in drawn.items():
            figure.savefig(fresh / FIGURES / f"{name}.png", dpi=DPI)
