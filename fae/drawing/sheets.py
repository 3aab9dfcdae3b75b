"""Figures of pictures: images, reconstructions and weights in, a matplotlib Figure out.

Text is at least 8 pt at a figure's own size, which is at most the width of a page.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fae.drawing.figures import WIDEST, literal
from fae.drawing.pictures import (
    FULL,
    Floats,
    Gallery,
    Panel,
    Picture,
    diverging,
    error_map,
    picture,
    short,
    tiles,
)
from fae.runtime.formatting import format_error, format_errors

SHOWN = 10
"""Images in a row at most."""
LEFT, TOP = 1.2, 0.25
"""Inches: the room for labels at the left of rows, and for one line of text above pictures."""
LINE = 16
"""Characters that these labels have in a line."""
SIDE, PITCH = 0.78, 0.81
"""Inches: a picture of a row, and from one to the next."""
NETWORKS = 4
"""Networks side by side whose hidden units are shown at most."""
NARROWEST = 1.5
"""Inches: the hidden units of a network, which have words above them, at least."""
RANKED = "Of the brighter half of the test images; below each its class and mean squared error."
DPI = 200
"""Pixels per inch at which the figures are meant to be written."""


def reconstructions(panel: Panel, rows: Mapping[str, Floats]) -> Figure:
    """Images in the first row, and below them what each network makes of them.

    Args:
        panel: has the images.
        rows: label of a row to the reconstructions of these images, (images, pixels).
    """
    shown = {"original": panel.originals, **rows}
    columns = min(SHOWN, len(panel.originals))
    sheet = _Sheet(LEFT + PITCH * columns, TOP + PITCH * len(shown))
    for column, name in enumerate(panel.classes[:columns]):
        sheet.write(LEFT + PITCH * column + SIDE / 2, TOP - 0.05, short(name), va="bottom")
    for row, (label, images) in enumerate(shown.items()):
        y = TOP + PITCH * row
        sheet.write(LEFT - 0.08, y + SIDE / 2, _wrapped(label), ha="right", va="center")
        for column, image in enumerate(images[:columns]):
            sheet.show(LEFT + PITCH * column, y, SIDE, picture(image))
    return literal(sheet.figure)


def reconstructed(panel: Panel, heading: str) -> Figure:
    """Each image above its reconstruction and the difference, with its name and its error.

    Args:
        panel: the images; any number, ten in a row.
        heading: above all of them.
    """
    count = len(panel.originals)
    columns = min(SHOWN, count)
    wide, high = LEFT + PITCH * max(columns, 4), 3 * PITCH + 2.5 * TOP
    lines = textwrap.wrap(heading, int((wide - LEFT) * 12))
    top = 0.18 * len(lines) + 0.1
    bottom = top + high * math.ceil(count / columns)
    sheet = _Sheet(wide, bottom + 0.55)
    sheet.write(LEFT, 0.05, "\n".join(lines), ha="left", va="top", weight="bold")
    errors = format_errors(panel.errors.tolist())
    for i in range(count):
        x, y = LEFT + PITCH * (i % columns), top + TOP + high * (i // columns)
        original, output = panel.originals[i], panel.reconstructions[i]
        shown = {
            "original": picture(original),
            "reconstruction": picture(output),
            "difference": error_map(original, output),
        }
        sheet.write(x + SIDE / 2, y - 0.05, short(panel.classes[i]), va="bottom")
        for row, pixels in enumerate(shown.values()):
            sheet.show(x, y + PITCH * row, SIDE, pixels)
        sheet.write(x + SIDE / 2, y + 3 * PITCH, errors[i], va="top")
        if i % columns == 0:
            for row, label in enumerate(shown):
                middle = y + PITCH * row + SIDE / 2
                sheet.write(LEFT - 0.08, middle, label, ha="right", va="center")
            sheet.write(LEFT - 0.08, y + 3 * PITCH, "MSE", ha="right", va="top")
    sheet.add_scale(LEFT, bottom + 0.1, PITCH * 4)
    return literal(sheet.figure)


def extremes(galleries: Sequence[Gallery]) -> Figure:
    """Each network's best, median and worst test image: original, reconstruction, difference."""
    side, gap, high = 0.86, 0.15, 1.12
    bottom = 2 * TOP + high * len(galleries)
    sheet = _Sheet(LEFT + 3 * (3 * side + gap), bottom + 0.65)
    for row, gallery in enumerate(galleries):
        y = 2 * TOP + high * row
        sheet.write(LEFT - 0.08, y + side / 2, _wrapped(gallery.title), ha="right", va="center")
        for i, example in enumerate(gallery.extremes):
            x = LEFT + i * (3 * side + gap)
            if row == 0:
                sheet.write(x + 1.5 * side, TOP - 0.05, example.label, va="bottom", weight="bold")
            shown = {
                "original": picture(example.original),
                "reconstruction": picture(example.reconstruction),
                "difference": error_map(example.original, example.reconstruction),
            }
            for j, (head, pixels) in enumerate(shown.items()):
                if row == 0:
                    sheet.write(x + (j + 0.5) * side, y - 0.05, head, va="bottom")
                sheet.show(x + j * side, y, side - 0.03, pixels)
            found = f"{short(example.shows)}: {format_error(example.error)}"
            sheet.write(x + 1.5 * side, y + side + 0.02, found, va="top")
    sheet.write(LEFT, bottom + 0.1, RANKED, ha="left", va="top")
    sheet.add_scale(LEFT + 2 * (3 * side + gap), bottom + 0.1, 3 * side)
    return literal(sheet.figure)


def hidden_units(galleries: Sequence[Gallery]) -> Figure:
    """Weights of first-layer units as images, by decreasing norm, and what is to be seen of them.

    At ``DPI`` each weight is a square of whole pixels, unless the figure would be too wide.

    Args:
        galleries: of networks with weights that are images.
    """
    across = math.ceil(math.sqrt(max(len(gallery.weights) for gallery in galleries)))
    shown = [tiles(gallery.weights, across) for gallery in galleries]
    pixels = shown[0].shape[1]
    whole = max(int(WIDEST / NETWORKS * DPI) // pixels, math.ceil(NARROWEST * DPI / pixels))
    size = min(whole / DPI, WIDEST / pixels)
    wide, high = (size * max(tiled.shape[axis] for tiled in shown) for axis in (1, 0))
    words = [_described(gallery, wide) for gallery in galleries]
    right = wide + 8 / DPI
    down = high + round(0.15 * max(text.count("\n") + 2 for text in words) * DPI) / DPI
    columns = min(NETWORKS, len(galleries), max(1, int(WIDEST / right)))
    rows = math.ceil(len(galleries) / columns)
    sheet = _Sheet(right * columns, down * rows)
    for i, (text, tiled) in enumerate(zip(words, shown, strict=True)):
        x, y = right * (i % columns), down * (i // columns + 1) - high
        sheet.write(x, y - 0.05, text, ha="left", va="bottom")
        sheet.show(x, y, size * tiled.shape[1], tiled, framed=False)
    return literal(sheet.figure)


def strips(rows: Sequence[tuple[str, Floats]], heads: Sequence[str] = ()) -> Figure:
    """Rows of images, as wide as a page at most, each with a label at the left.

    Args:
        rows: labels, which may be empty, and images, (images, pixels), as many in each row.
        heads: above the images.
    """
    left = LEFT if any(label for label, _ in rows) else 0.05
    pitch = min(PITCH, (WIDEST - left) / len(rows[0][1]))
    sheet = _Sheet(left + pitch * len(rows[0][1]), TOP + pitch * len(rows))
    for column, head in enumerate(heads):
        sheet.write(left + pitch * (column + 0.5), TOP - 0.05, head, va="bottom")
    for row, (label, images) in enumerate(rows):
        y = TOP + pitch * row
        sheet.write(left - 0.08, y + pitch / 2, _wrapped(label), ha="right", va="center")
        for column, image in enumerate(images):
            sheet.show(left + pitch * column, y, pitch - 0.03, picture(image))
    return literal(sheet.figure)


def _described(gallery: Gallery, inches: float) -> str:
    lines = (gallery.caption, gallery.remark)
    return "\n".join(textwrap.fill(line, max(20, int(inches * 14))) for line in lines)


def _wrapped(label: str) -> str:
    """A label at the left of a row; of each of its parts at most four lines."""
    lines = []
    for part in label.split("\n"):
        words = (w if len(w) <= LINE else w.replace("=", "= ") for w in part.split())
        lines += textwrap.wrap(" ".join(words), LINE, max_lines=4, placeholder=" ...")
    return "\n".join(lines)


class _Sheet:
    """A figure for pictures and words at places in inches, from the top left.

    All are in one Axes: one for each takes most of the time of a report.

    Attributes:
        figure: the figure.
    """

    def __init__(self, wide: float, high: float) -> None:
        self.figure = Figure(figsize=(wide, high))
        self._axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(high, 0))
        self._axes.set_axis_off()

    def show(self, x: float, y: float, side: float, picture: Picture, framed: bool = True) -> None:
        """Show a picture as wide as ``side``, with its top left corner at a place."""
        high = side * picture.shape[0] / picture.shape[1]
        extent = (x, x + side, y + high, y)
        how: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
        self._axes.imshow(picture, extent=extent, aspect="auto", **how)
        if framed:
            self._axes.add_patch(Rectangle((x, y), side, high, fill=False, linewidth=0.5))

    def write(
        self, x: float, y: float, text: str, *, va: str, ha: str = "center", weight: str = "normal"
    ) -> None:
        """Write words at a place."""
        self._axes.text(x, y, text, fontsize=8.5, ha=ha, va=va, weight=weight)

    def add_scale(self, x: float, y: float, wide: float) -> None:
        """A scale of the colours of differences."""
        width, height = self.figure.get_size_inches()
        axes = self.figure.add_axes(
            (x / width, 1 - (y + 0.15) / height, wide / width, 0.15 / height)
        )
        steps = np.linspace(-1, 1, 101, dtype=np.float32)[None]
        colours = ListedColormap(diverging(steps)[0] / 255)
        scale = ScalarMappable(Normalize(-FULL, FULL), colours)
        bar = self.figure.colorbar(scale, axes, orientation="horizontal", ticks=[-FULL, 0, FULL])
        names = [f"\N{MINUS SIGN}{FULL:g} (too dark)", "0", f"+{FULL:g} (too bright)"]
        bar.set_ticklabels(names, fontsize=8)
        sides: list[Literal["left", "center", "right"]] = ["left", "center", "right"]
        for label, side in zip(axes.get_xticklabels(), sides, strict=True):
            label.set_horizontalalignment(side)
