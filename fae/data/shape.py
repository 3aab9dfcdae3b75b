"""The shape of images that are kept as rows of numbers.

A row has the values of all channels one after the other: side * side of a grey image, three times
as many of a colour image. Three times a square is no square, so their number tells the shape.
"""

import math


def shape_of(pixels: int) -> tuple[int, int]:
    """Channels, 1 or 3, and side of images with so many values.

    Raises:
        ValueError: no square image has so many.
    """
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if channels * side * side == pixels:
            return channels, side
    raise ValueError(f"{pixels} values are no square image, grey or in colour")
