"""Settings that data sets of a user's own files share."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, PydanticCustomError

from fae.data.config import MAX_PIXELS, DataConfig
from fae.data.own import known
from fae.errors import ConfigError, DataError
from fae.runtime.console import in_one_line
from fae.runtime.fields import STRICT, Count, OwnFolder, Switch

if TYPE_CHECKING:
    from fae.data.own.content import Content
    from fae.data.own.images import OwnImages

Side = Annotated[int, Field(strict=True, ge=1, le=512)]
STAND_IN = {"train": 1, "val": 1, "test": 1, "side": 1, "colour": False}
"""Values of settings that are null, until the files have been looked at."""
SHARE = 10
"""Of so many images one is for validation and one for testing, where the user does not say."""


def _given(path: object) -> object:
    if path in (None, ""):
        raise PydanticCustomError("absent", "must be given; data.root=PATH says where images are")
    return path


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OwnConfig(DataConfig):
    """Settings of a data set of the user's own files.

    What is null is taken from the files when a configuration is composed, so that a run's stored
    configuration says it, and is read without the files.
    """

    root: Annotated[OwnFolder, BeforeValidator(_given)]
    """Where the images are; it must be given."""
    train: Count
    """Number of training images; null: all except the validation and test images. All images are
    split at random."""
    val: Count
    """Number of validation images; null: a tenth of the images."""
    test: Count
    """Number of test images; null: a tenth of the images."""
    side: Side
    """Height and width of an image, in pixels."""
    colour: Switch
    """Whether images are in colour: three values per pixel, instead of one."""

    @property
    def pixels(self) -> int:
        return (3 if self.colour else 1) * self.side**2

    @property
    def title(self) -> str:
        return f"the images in {in_one_line(self.root.name or str(self.root))}"

    def build(self) -> "OwnImages":
        from fae.data.own.images import OwnImages

        known.remember(self.root)
        return OwnImages(self, self.read())

    def with_root(self, root: Path | None) -> "OwnConfig":
        """The same images in another place; None: where a run found them.

        Raises:
            DataError: this user has never named that place.
        """
        if root is None and not known.is_known(self.root):
            raise DataError(
                f"data.root: its images are not known here; data.root=PATH says where they are "
                f"(they were in {in_one_line(str(self.root))})"
            )
        return replace(self, root=root) if root else self

    @classmethod
    def may_be_null(cls) -> tuple[str, ...]:
        """The settings that are taken from the files where they are null."""
        return "train", "val", "test"

    def shape(self) -> dict[str, Any]:
        """The settings that files of this kind determine, ``side`` and ``colour``, or none.

        Raises:
            ConfigError: there are no images.
        """
        return {}

    def count(self) -> tuple[int, int | None]:
        """Number of images in all, and of those the user has set aside for testing.

        Quick, as it is called for each configuration; None: none are set aside.

        Raises:
            ConfigError: there are no images.
        """
        raise NotImplementedError

    def read(self) -> "Content":
        """The images.

        Raises:
            ConfigError, DataError: they cannot be read.
        """
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _filled_in(
        cls, values: Any, handler: ModelWrapValidatorHandler["OwnConfig"]
    ) -> "OwnConfig":
        given = values.kwargs if isinstance(values, ArgsKwargs) else values
        if not isinstance(given, dict):
            return handler(values)
        null = {key for key in cls.may_be_null() if key in given and given[key] is None}
        if not null:
            return handler(values)
        draft = handler({**given, **{key: STAND_IN[key] for key in null}})
        draft = replace(draft, **{k: v for k, v in draft.shape().items() if k in null})
        draft.check_shape()
        images, set_aside = draft.count()
        draft.check_memory(images)
        sizes: dict[str, Any] = draft._sizes(images, set_aside, null)
        draft = replace(draft, **sizes)
        draft.check_sizes(images, set_aside)
        return draft

    def _sizes(self, images: int, set_aside: int | None, null: set[str]) -> dict[str, int]:
        """Numbers of images, computed where they are null."""
        share = max(1, images // SHARE)
        test = (set_aside or share) if "test" in null else self.test
        val = share if "val" in null else self.val
        train = images - val - test if "train" in null else self.train
        if train < 1:
            raise ConfigError(
                f"data.root={self.root}: has {images} images, too few for data.val={val}, "
                f"data.test={test} and at least one to train on"
            )
        return {"train": train, "val": val, "test": test}

    def check_shape(self) -> None:
        """Check that the images in the files have the side and the channels of the settings.

        Raises:
            ConfigError: they have not.
        """
        for key, value in self.shape().items():
            if getattr(self, key) != value:
                own, theirs = (str(v).lower() for v in (getattr(self, key), value))
                raise ConfigError(
                    f"data.{key}={own}: it is {theirs} for the images in {self.root}; leave it out"
                )

    def check_sizes(self, images: int, set_aside: int | None) -> None:
        """Check that the images are neither more nor fewer than those to be split.

        Raises:
            ConfigError: says which number would be right.
        """
        if set_aside is not None and self.test != set_aside:
            raise ConfigError(
                f"data.test={self.test}: must be {set_aside}, the number of test images in "
                f"{self.root}; leave it out"
            )
        given = self.train + self.val + self.test
        if given != images:
            rest = images - self.val - self.test
            hint = f"; write data.train={rest}, or leave it out" if rest > 0 else ""
            raise ConfigError(
                f"data.train={self.train}, data.val={self.val} and data.test={self.test}: must add "
                f"up to the {images} images in {self.root}, not to {given}{hint}"
            )

    def check_memory(self, images: int) -> None:
        """Check that so many images are not too large.

        Raises:
            ConfigError: they are.
        """
        if images * self.pixels > MAX_PIXELS:
            raise ConfigError(
                f"data.root={self.root}: {images} images of {self.pixels} values are too many; "
                f"at most {MAX_PIXELS // self.pixels} are kept in memory"
            )
