"""Variants by name: those that fae has, and those that installed packages add.

A package adds a variant by an entry point, in its own ``pyproject.toml``::

    [project.entry-points."fae.data"]
    stripes = "stripes.config:StripesConfig"

A configuration names a variant, never a Python path: which code a name means is decided by whoever
installs packages.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fae.errors import ConfigError

Settings = TypeVar("Settings")


class Catalogue(Mapping[str, type[Settings]], Generic[Settings]):
    """The settings classes of a kind of variant, by the variants' names.

    As an annotation, ``Annotated[Base, CATALOGUE]``, it lets pydantic choose the class by the
    settings' ``name``.

    Args:
        key: of the configuration, under which a variant's settings stand.
        group: of the entry points by which packages add variants.
        own: the variants that fae has; a package cannot replace them.
    """

    def __init__(self, key: str, group: str, own: Mapping[str, type[Settings]]) -> None:
        self.key = key
        self.group = group
        self.own = own

    def __getitem__(self, name: str) -> type[Settings]:
        """The settings class of a variant.

        Raises:
            KeyError: there is no such variant.
            ConfigError: the package that adds it cannot be imported.
        """
        if name in self.own:
            return self.own[name]
        entry = self._added[name]
        try:
            found: type[Settings] = entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            raise ConfigError(
                f"{self.key}={name}: the package {package}, which adds it, cannot be imported "
                f"({type(error).__name__}: {error})"
            ) from error
        return found

    def __iter__(self) -> Iterator[str]:
        yield from {**self.own, **self._added}

    def __len__(self) -> int:
        return len({*self})

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def _checked(self, value: Any) -> Settings:
        """Settings of the class that their name means; those that are objects already stay.

        Raises:
            ValidationError: a setting is wrong.
            PydanticCustomError: no variant has that name.
        """
        name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
        if not isinstance(name, str) or name not in {*self}:
            raise PydanticCustomError(
                "unknown_variant",
                "unknown; choose by {key}=NAME from {names}, or install the package that adds it",
                {"key": self.key, "names": ", ".join(sorted(self)), "name": str(name)},
            )
        settings: Settings = TypeAdapter(self[name]).validate_python(value)
        return settings
