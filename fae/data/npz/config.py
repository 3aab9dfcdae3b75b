"""Settings of images in a NumPy file."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic.dataclasses import dataclass

from fae.data.own.config import OwnConfig, Side
from fae.runtime.fields import STRICT, Switch

if TYPE_CHECKING:
    from fae.data.own.content import Content


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NpzConfig(OwnConfig):
    """Images in a file of ``numpy.savez``: the array ``images``, in uint8 or as floats in [0, 1],
    and optionally ``labels``, ``classes``, ``test_images`` and ``test_labels``."""

    name: Literal["npz"]
    side: Side
    """Height and width of an image, in pixels; null: as in the file."""
    colour: Switch
    """Whether images are in colour; null: as in the file."""

    @classmethod
    def may_be_null(cls) -> tuple[str, ...]:
        return (*super().may_be_null(), "side", "colour")

    def shape(self) -> dict[str, Any]:
        from fae.data.npz.arrays import described

        found = described(self.root)
        return {"side": found.side, "colour": found.colour}

    def count(self) -> tuple[int, int | None]:
        from fae.data.npz.arrays import described

        found = described(self.root)
        return found.images + found.test_images, found.test_images or None

    def read(self) -> "Content":
        from fae.data.npz.arrays import read

        self.check_shape()
        self.check_memory(self.count()[0])
        return read(self.root)
