"""Images, reconstructions and weights as values, and as pictures: arrays of pixels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

Picture = NDArray[np.uint8]
"""(height, width) grey or (height, width, 3) colours, 0 to 255."""
ACROSS = 10
"""Images in a row of ``pairs``."""


@dataclass(frozen=True)
class Panel:
    """Some test images, at least one of each class, and their reconstructions by one network.

    Attributes:
        originals, reconstructions: (images, pixels), float32; originals in [0, 1].
        errors: (images,), mean squared error of each image.
        classes: (images,), the name of each image's class.
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
        panel: the same test images for every network, one of each class.
        extremes: its best, median and worst test image.
        weights: (units, pixels), one row per unit of the first layer, by decreasing norm.
        dead: units of that layer whose output never changes; None where they were not counted.
    """

    title: str
    seed: int
    panel: Panel
    extremes: list[Example]
    weights: Floats
    dead: int | None


def grey(image: Floats) -> Picture:
    """An image (pixels,) as a square picture, clipped to [0, 1]."""
    return _bytes(square(image))


def error_map(original: Floats, reconstruction: Floats) -> Picture:
    """Where a reconstruction differs: red where it is too bright, blue where too dark.

    Full colour stands for a difference of 0.5 or more, white for none.
    """
    return diverging(square(reconstruction - original) / 0.5)


def diverging(values: Floats) -> Picture:
    """Blue, white, red for -1, 0, 1, (height, width) to (height, width, 3)."""
    values = values.clip(-1, 1)
    fade = 1 - np.abs(values)
    return _bytes(
        np.stack([np.where(values > 0, 1, fade), fade, np.where(values < 0, 1, fade)], -1)
    )


def tiles(weights: Floats) -> Picture:
    """Weights (units, pixels) as one picture, one tile per unit, twice as wide as high.

    Row by row from the top left. Each tile has its own scale: full colour is its largest
    weight in size. 33 colours in all, since a file of many tiles would be large otherwise.
    """
    units, side = len(weights), math.isqrt(weights.shape[1])
    across = min(units, math.ceil(math.sqrt(2 * units)))
    rows = math.ceil(units / across)
    canvas = np.full((rows * (side + 1), across * (side + 1), 3), 255, np.uint8)
    for unit, row in enumerate(weights):
        top, left = (side + 1) * (unit // across), (side + 1) * (unit % across)
        scale = np.float32(np.abs(row).max() or 1)
        steps = (square(row) / scale * 16).round() / 16
        canvas[top : top + side, left : left + side] = diverging(steps)
    return canvas[:-1, :-1]


def pairs(originals: Floats, reconstructed: Floats) -> Picture:
    """Images above their reconstructions as one picture, ten in a row, three times enlarged.

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
    return _bytes(np.vstack(rows).repeat(3, axis=0).repeat(3, axis=1))


def extremes(errors: Floats) -> dict[str, int]:
    """Indexes of the best, the median and the worst of some images by their errors (images,)."""
    order = np.argsort(errors, kind="stable")
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": -1}
    return {label: int(order[place]) for label, place in places.items()}


def square(image: Floats) -> Floats:
    """An image (pixels,) as (side, side)."""
    side = math.isqrt(len(image))
    return image.reshape(side, side)


def _bytes(picture: Floats) -> Picture:
    return np.asarray((picture.clip(0, 1) * 255).round(), dtype=np.uint8)
