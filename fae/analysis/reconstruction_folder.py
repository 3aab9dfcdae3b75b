"""The folder of reconstructions: a panel, a table of errors, and each image as files of its own."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fae.analysis.reconstruction import ReconstructedImage
from fae.drawing.pictures import Panel, error_map, picture
from fae.drawing.sheets import DPI, reconstructed
from fae.drawing.tables import as_csv
from fae.runtime import folders

KIND = "reconstructions"
PANEL, ERRORS = "panel.png", "mse.csv"
PARTS = ("original", "reconstruction", "error")
"""Folders in which each image has a file."""
SHOWN = 30
"""Images in the panel at most."""
LONGEST = 60
"""Characters of a file's name that are kept."""


def write(folder: Path, found: Iterable[ReconstructedImage], count: int, title: str) -> float:
    """Write all reconstructions; the folder appears once it has all of them.

    Args:
        count: number of reconstructions.
        title: names the network.

    Returns:
        The mean of their errors.

    Raises:
        OSError: it cannot be written.
    """
    rows: list[dict[str, object]] = []
    shown: list[ReconstructedImage] = []
    with folders.whole(folder, KIND, _is_ours) as fresh:
        for part in PARTS:
            (fresh / part).mkdir()
        total = 0.0
        for number, image in enumerate(found, 1):
            name = _name(number, len(str(count)), image.path)
            _write_files(fresh, name, image)
            rows.append({"file": name, "image": str(image.path), "mse": image.mse})
            total += image.mse
            if number <= SHOWN:
                shown.append(image)
        (fresh / ERRORS).write_text(as_csv(rows), encoding="utf-8")
        part = f"the first {SHOWN} of {count} images" if count > SHOWN else ""
        drawn = reconstructed(_panel(shown), f"{title}: {part}" if part else title)
        drawn.savefig(fresh / PANEL, dpi=DPI)
    return total / count


def _panel(shown: Sequence[ReconstructedImage]) -> Panel:
    return Panel(
        np.stack([image.original for image in shown]),
        np.stack([image.reconstruction for image in shown]),
        np.array([image.mse for image in shown], np.float32),
        [image.path.name for image in shown],
    )


def _write_files(folder: Path, name: str, image: ReconstructedImage) -> None:
    drawn = (
        picture(image.original),
        picture(image.reconstruction),
        error_map(image.original, image.reconstruction),
    )
    for part, pixels in zip(PARTS, drawn, strict=True):
        Image.fromarray(pixels).save(folder / part / name)


def _name(number: int, digits: int, path: Path) -> str:
    """The name of an image's files: its number, so that it is the only one, and what it was."""
    kept = re.sub(r"[^\w.-]+", "_", path.stem)[:LONGEST]
    return f"{number:0{digits}}_{kept}.png"


def _is_ours(folder: Path) -> bool:
    inside = (path.relative_to(folder) for path in folder.rglob("*"))
    return all(path.parts[0] in {PANEL, ERRORS, *PARTS} for path in inside)
