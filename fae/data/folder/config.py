"""Settings of a folder of images."""

from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass

from fae.data.folder.listing import listing
from fae.data.own.config import OwnConfig, Side
from fae.runtime.fields import STRICT, Switch

if TYPE_CHECKING:
    from fae.data.own.content import Content


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FolderConfig(OwnConfig):
    """Images in a folder: PNG, JPEG, WebP, BMP, TIFF, GIF, PBM, PGM or PPM."""

    name: Literal["folder"]
    side: Side
    """Height and width to which images are resized, in pixels."""
    colour: Switch
    """Whether images are in colour; otherwise they become grey."""
    fit: Literal["crop", "stretch"]
    """How an image becomes a square: by its middle, or squeezed as a whole."""
    skip_broken: Switch
    """Leave out images that cannot be read; otherwise they are named, and nothing is trained."""

    def count(self) -> tuple[int, None]:
        files = listing(self.root).files
        self.check_memory(len(files))
        return len(self.read() if self.skip_broken else files), None

    def read(self) -> "Content":
        from fae.data.folder.reading import read

        self.check_memory(len(listing(self.root).files))
        found = read(self.root, self.side, self.colour, self.fit)
        return found.without_broken() if self.skip_broken else found.whole()
