"""Types of settings with their bounds, checked by pydantic; rooms make their settings of them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from fae.runtime import paths

STRICT = ConfigDict(extra="forbid")
"""Of a settings class: an unknown key is an error."""


def _as_list(names: object) -> object:
    return [] if names is None else names if isinstance(names, list | tuple) else [str(names)]


def _as_text(beginning: object) -> object:
    if isinstance(beginning, float):
        raise PydanticCustomError(
            "number", "Input should be text; it is read as a number, so give one more character"
        )
    is_number = isinstance(beginning, int) and not isinstance(beginning, bool)
    return str(beginning) if is_number else beginning


def _count_or_auto(value: object) -> object:
    if isinstance(value, str) and value != "auto":
        raise PydanticCustomError("count_or_auto", "Input should be an integer or auto")
    return value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "Input should be printable text")
    return text


def _without_flaw(path: Path) -> Path:
    if flaw := paths.flaw(path):
        raise PydanticCustomError("flaw", "{flaw}", {"flaw": flaw})
    return path


Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
CountOrAuto = Annotated[
    Annotated[Count, Tag("count")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "count"),
    BeforeValidator(_count_or_auto),
    Field(title="integer or auto"),
]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Width = Annotated[int, Field(strict=True, ge=1, le=65_536)]
"""Units of a layer."""
Rate = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Penalty = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Switch = Annotated[bool, Field(strict=True)]
Name = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=250),
    AfterValidator(_printable),
]
RunId = Annotated[Name, BeforeValidator(_as_text)]
"""Id of a run, or the beginning of it, which a command line may read as a number."""
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
OwnFolder = Annotated[Path, AfterValidator(paths.absolute), AfterValidator(_without_flaw)]
"""A folder that the user names, made absolute."""
