"""A folder of photographs as a user may have it, with some files that are broken."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cars", "cats", "dogs", "trees")
ENDINGS = ("jpg", "png", "webp", "bmp", "tiff", "gif", "JPEG", "ppm")
BROKEN = {
    "cats/cut.jpg": "cannot be decoded: image file is truncated",
    "cats/empty.png": "is empty",
    "dogs/moving.gif": "has 3 pictures in it; save one of them",
    "dogs/text.png": "is not an image, or of a format that is not read",
    "trees/\\x1b[31m\\nred.jpg": "is not an image, or of a format that is not read",
}
"""Why each cannot be used, by its name as it is printed."""


def photograph(number: int) -> Image.Image:
    """A gradient with a shape in it, and noise; of ``CLASSES`` in turn."""
    chance = np.random.default_rng(number)
    height, width = chance.integers(24, 60, 2)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], -1)
    pixels += chance.normal(0, 10, pixels.shape)
    shape = (
        x % 8 == 0,
        (abs(x - width / 2) < width / 4) & (abs(y - height / 2) < height / 4),
        (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 3) ** 2,
        x < 0,
    )
    pixels[shape[number % len(shape)]] = (250, 50, 50)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def photographs(root: Path, count: int) -> Path:
    """A folder with so many photographs, in a folder per class and in several formats."""
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number in range(count):
        place = root / CLASSES[number % len(CLASSES)]
        photograph(number).save(place / f"{number:03}.{ENDINGS[number % len(ENDINGS)]}")
    return root


def add_broken(root: Path) -> None:
    """Add the broken files, and some that are no images."""
    whole = (root / "cars" / "000.jpg").read_bytes()
    (root / "cats" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "cats" / "empty.png").touch()
    (root / "dogs" / "text.png").write_text("no picture")
    (root / "trees" / "\x1b[31m\nred.jpg").write_bytes(b"\xff\xd8no picture")
    frames = [Image.new("RGB", (9, 9), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(root / "dogs" / "moving.gif", save_all=True, append_images=frames[1:])
    for name in ("dogs/notes.txt", "Thumbs.db", ".DS_Store", "cats/.hidden.jpg"):
        (root / name).write_text("no picture")
