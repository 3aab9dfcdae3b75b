"""The folder with the page on what is inside a network."""

from pathlib import Path

from fae.analysis.exploration import Exploration
from fae.analysis.explore_page import page
from fae.runtime import folders

PAGE = "explore.html"
KIND = "explorations"


def write(folder: Path, found: Exploration) -> Path:
    """Write the page; the folder appears once it has it. Returns where the page is.

    Raises:
        OSError: it cannot be written.
    """
    text = page(found)
    with folders.whole(folder, KIND, _is_ours) as fresh:
        (fresh / PAGE).write_text(text, encoding="utf-8")
    return folder / PAGE


def _is_ours(folder: Path) -> bool:
    return {path.name for path in folder.rglob("*")} <= {PAGE}
