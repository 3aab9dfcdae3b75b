"""Many small images as one picture, of which a page shows a part."""

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fae.data.shape import shape_of
from fae.drawing import html
from fae.drawing.pictures import Picture

LARGEST = 32
"""Pixels of a side of an image; larger ones are shrunk, and colour ones have so many."""
QUALITY = 85
"""Of a JPEG, in which images in colour take a quarter of what they would as a PNG. It codes squares
of 8 pixels by themselves, so that an image of ``LARGEST`` pixels leaves no trace in the next."""


@dataclass(frozen=True)
class Sprite:
    """Images in rows, as one picture.

    Attributes:
        address: a data URL.
        across, down: images in a row, and rows.
    """

    address: str
    across: int
    down: int


def sprite(images: NDArray[np.uint8]) -> Sprite:
    """The sprite of images (images, pixels), row by row."""
    channels, side = shape_of(images.shape[1])
    tiles = images.reshape(-1, channels, side, side).transpose(0, 2, 3, 1)
    if channels == 3 or side > LARGEST:
        tiles = np.stack([_resized(tile) for tile in tiles])
    across = math.ceil(math.sqrt(len(tiles)))
    down = math.ceil(len(tiles) / across)
    side = tiles.shape[1]
    canvas = np.zeros((down * across, side, side, channels), np.uint8)
    canvas[: len(tiles)] = tiles
    rows = canvas.reshape(down, across, side, side, channels).transpose(0, 2, 1, 3, 4)
    whole = rows.reshape(down * side, across * side, channels)
    return Sprite(_jpeg(whole) if channels == 3 else html.png(whole[:, :, 0]), across, down)


def _resized(tile: Picture) -> Picture:
    size = (LARGEST, LARGEST)
    grown = tile.shape[0] < LARGEST
    how = Image.Resampling.NEAREST if grown else Image.Resampling.LANCZOS
    image = Image.fromarray(tile.squeeze(-1) if tile.shape[-1] == 1 else tile).resize(size, how)
    return np.asarray(image, np.uint8).reshape(*size, tile.shape[-1])


def _jpeg(picture: Picture) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return html.data_url("jpeg", file.getvalue())
