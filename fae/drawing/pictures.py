"""Images, reconstructions and weights as values, and as pictures: arrays of pixels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae.data.shape import shape_of
from fae.runtime.formatting import format_share

Floats = NDArray[np.float32]

Picture = NDArray[np.uint8]
"""(height, width) grey or (height, width, 3) colours, 0 to 255."""
ACROSS = 10
"""Images in a row of ``pairs``."""
HIGH = 96
"""Pixels that an image of ``pairs`` is high at most when it is enlarged, up to three times."""
LETTERS = 12
"""Characters of a class's name that are shown at most."""

UNITS = 64
"""Units of a network whose weights are shown at most."""
FULL = 0.5
"""Difference from which a pixel of an error map has its full colour."""


@dataclass(frozen=True)
class Panel:
    """Some images, and their reconstructions by one network.

    Attributes:
        originals, reconstructions: (images, pixels), float32; originals in [0, 1].
        errors: (images,), mean squared error of each image.
        classes: (images,), the name of each image's class, or of its file.
    """

    originals: Floats
    reconstructions: Floats
    errors: Floats
    classes: list[str]


@dataclass(frozen=True)
class Example:
    """A test image and its reconstruction.

    Attributes:
        label: why it is shown, such as ``best``.
        shows: its class.
        original, reconstruction: (pixels,), the original in [0, 1].
        error: mean squared error over the pixels.
    """

    label: str
    shows: str
    original: Floats
    reconstruction: Floats
    error: float


@dataclass(frozen=True)
class Gallery:
    """Pictures of one network: its reconstructions and its weights.

    Attributes:
        title: of its setting.
        seed: of the run that trained it.
        test: test error of the setting, mean over its seeds.
        panel: the same test images for every network.
        extremes: its best, median and worst test image.
        weights: (units, pixels), one row per unit of the first layer that is shown, by decreasing
            norm; see ``evenly``. No rows if the network has no weights that are images.
        units: how many units that layer has.
        dead: units of that layer whose output never changes; None where they were not counted.
        noise: how much of the layer's weights is still what was drawn at random before training:
            the share of their sum of squares that lies in the direction of these numbers.
    """

    title: str
    seed: int
    test: float
    panel: Panel
    extremes: list[Example]
    weights: Floats
    units: int
    dead: int | None
    noise: float

    @property
    def caption(self) -> str:
        """``n = 512: 512 units, 0 dead; 64 shown``."""
        shown = len(self.weights)
        dead = "dead ones not counted" if self.dead is None else f"{self.dead} dead"
        part = f"; {shown} shown" if shown < self.units else ""
        return f"{self.title}: {self.units} units, {dead}{part}"

    @property
    def remark(self) -> str:
        """What is to be seen of the weights."""
        return (
            f"{'mostly' if self.noise > 0.5 else 'little'} noise: random numbers drawn before "
            f"training make up {format_share(self.noise, '.0f')} of the weights' sum of squares"
        )


def picture(image: Floats) -> Picture:
    """An image (pixels,), grey or in colour, as a square picture, clipped to [0, 1]."""
    return _bytes(square(image))


def short(name: str) -> str:
    """The name of a class as it is shown: its beginning, if it is long."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def is_colour(images: Floats) -> bool:
    """Whether images, or weights, (images, pixels) are in colour."""
    return shape_of(images.shape[1])[0] == 3


def error_map(original: Floats, reconstruction: Floats) -> Picture:
    """Where a reconstruction differs: red where it is too bright, blue where too dark.

    Full colour stands for a difference of ``FULL`` or more, white for none. Of a colour image it is
    the root mean square over the channels, red or blue by the channels' mean: a mean alone would
    be white where one colour is mistaken for another as bright.
    """
    difference = square(reconstruction - original)
    if difference.ndim == 3:
        size = np.sqrt(np.square(difference).mean(-1))
        difference = np.where(difference.mean(-1) < 0, -size, size)
    return diverging(difference / FULL)


def diverging(values: Floats) -> Picture:
    """Blue, white, red for -1, 0, 1, (height, width) to (height, width, 3)."""
    values = values.clip(-1, 1)
    fade = 1 - np.abs(values)
    return _bytes(
        np.stack([np.where(values > 0, 1, fade), fade, np.where(values < 0, 1, fade)], -1)
    )


def tiles(weights: Floats, across: int | None = None) -> Picture:
    """Weights (units, pixels) as one picture, one tile per unit, row by row from the top left.

    Each tile has its own scale, by its largest weight in size. Weights of grey images are blue,
    white and red, as ``diverging`` makes them; those of a colour image's channels are that channel
    of a colour, with 0 in its middle. Each has 33 steps, since a file of many tiles would be large
    otherwise.

    Args:
        across: tiles per row; as many as make a square by default.
    """
    units, (channels, side) = len(weights), shape_of(weights.shape[1])
    across = across or math.ceil(math.sqrt(units))
    rows = math.ceil(units / across)
    canvas = np.full((rows * (side + 1), across * (side + 1), 3), 255, np.uint8)
    for unit, row in enumerate(weights):
        top, left = (side + 1) * (unit // across), (side + 1) * (unit % across)
        scale = np.float32(np.abs(row).max() or 1)
        steps = (square(row) / scale * 16).round() / 16
        tile = diverging(steps) if channels == 1 else _bytes((1 + steps) / 2)
        canvas[top : top + side, left : left + side] = tile
    return canvas[:-1, :-1]


def evenly(count: int) -> list[int]:
    """Indexes of at most ``UNITS`` of ``count`` things, the first and the last among them."""
    return [round(i) for i in np.linspace(0, count - 1, min(count, UNITS)).tolist()]


def pairs(originals: Floats, reconstructed: Floats) -> Picture:
    """Images above their reconstructions as one picture, ten in a row, small ones enlarged.

    Low, since the MLflow UI shows little of a picture's height below a run's parameters.

    Args:
        originals, reconstructed: (images, pixels), clipped to [0, 1].
    """
    rows = []
    for start in range(0, len(originals), ACROSS):
        for part in (originals, reconstructed):
            row = [square(image) for image in part[start : start + ACROSS]]
            missing = min(len(originals), ACROSS) - len(row)
            rows.append(np.hstack(row + [np.zeros_like(row[0])] * missing))
    times = min(3, max(1, HIGH // len(rows[0])))
    return _bytes(np.vstack(rows).repeat(times, axis=0).repeat(times, axis=1))


def extremes(errors: Floats, squares: Floats) -> dict[str, int]:
    """Indexes of the best, the median and the worst of the brighter half of some images.

    Of all images the best would be the darkest one, whatever a network makes of it.

    Args:
        errors: (images,), mean squared errors.
        squares: (images,), mean squares of the images themselves.
    """
    bright = np.flatnonzero(squares >= np.median(squares))
    order = bright[np.argsort(errors[bright], kind="stable")]
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": -1}
    return {label: int(order[place]) for label, place in places.items()}


def square(image: Floats) -> Floats:
    """An image (pixels,) as (side, side), or one in colour as (side, side, 3)."""
    channels, side = shape_of(len(image))
    return (
        image.reshape(side, side)
        if channels == 1
        else image.reshape(3, side, side).transpose(1, 2, 0)
    )


def _bytes(picture: Floats) -> Picture:
    return np.asarray((picture.clip(0, 1) * 255).round(), dtype=np.uint8)
