"""From the bytes of a user's image file to the pixels of one square image."""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fae.errors import first_line

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow knows more; some of them call other programs."""
MOST_PIXELS = 89_478_485
"""Of a file, above which Pillow warns of a decompression bomb; 20,000 x 4,473, for instance."""
FINE = 2
"""A JPEG is decoded at the smallest of its scales that is so many times as large as needed."""

Fit = Literal["crop", "stretch"]


class BrokenError(Exception):
    """A file cannot be used as an image; the message says why."""


def pixels(content: bytes, side: int, colour: bool, fit: Fit) -> NDArray[np.uint8]:
    """The pixels of an image, (channels * side * side,), channel first.

    It is turned as its EXIF data say; what is transparent becomes white; 16 bits become 8.

    Args:
        content: of the file.
        side: height and width to which it is resized.
        colour: three channels; otherwise one, grey.
        fit: ``crop`` the middle square, or ``stretch`` the whole to a square.

    Raises:
        BrokenError: it is damaged, or of a kind that is not handled.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _refuse(opened)
            if opened.format == "JPEG":
                opened.draft("RGB" if colour else "L", (FINE * side, FINE * side))
            upright = ImageOps.exif_transpose(opened)
        square = _resized(_plain(upright, "RGB" if colour else "L"), side, fit)
    except (BrokenError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BrokenError("is not an image, or of a format that is not read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenError(_too_large("")) from error
    except Exception as error:  # of any of Pillow's decoders
        raise BrokenError(f"cannot be decoded: {first_line(error)}") from error
    found = np.asarray(square, dtype=np.uint8)
    return (found.transpose(2, 0, 1) if colour else found).ravel()


def _refuse(image: Image.Image) -> None:
    """Refuse what has more or other content than one picture of at most 16 bits."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a camera's photograph, with previews
        raise BrokenError(f"has {frames} pictures in it; save one of them")
    if image.width * image.height > MOST_PIXELS:
        raise BrokenError(_too_large(f"{image.width} x {image.height}: "))
    if image.mode in {"I", "F"} and image.format != "PPM":  # a PGM of 16 bits is read as I
        raise BrokenError("has 32 bits per pixel; save it with 8 or 16")


def _too_large(size: str) -> str:
    return f"is too large ({size}more than {MOST_PIXELS:,} pixels); make it smaller"


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """The image in a mode, ``L`` or ``RGB``, without transparency."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32) / 65535  # Pillow would clip them at 255
        image = Image.fromarray((values * 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")
    return image.convert(mode)


def _resized(image: Image.Image, side: int, fit: Fit) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    return image.resize((side, side), Image.Resampling.LANCZOS)
