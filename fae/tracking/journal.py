"""What a run says, in a file of its folder before it is in the store."""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fae.runtime import files
from fae.runtime.console import warn

Entry = Mapping[str, Any]
"""One of the ``FORMS``."""

Whole = Annotated[int, Field(ge=0, lt=2**63)]
Key = Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)]
BATCH = 1000
"""Metrics of an entry, at most; MLflow's limit of a request."""
FEW = 100
"""Parameters or tags of an entry, at most; as well."""
CHECKED = ConfigDict(strict=True, extra="forbid")


class _Parameters(TypedDict):
    parameters: Annotated[dict[str, str], Field(max_length=FEW)]


class _Metrics(TypedDict):
    metrics: Annotated[dict[str, float], Field(max_length=BATCH)]
    step: Whole
    time: Whole


class _Tags(TypedDict):
    tags: Annotated[dict[str, str], Field(max_length=FEW)]


class _About(TypedDict):
    name: str
    digest: str
    source: str
    sizes: dict[str, Whole]


class _Data(TypedDict):
    data: _About


class _File(TypedDict):
    file: str
    bytes: Whole


class _Picture(TypedDict):
    picture: str
    bytes: Whole
    key: Key
    step: Whole
    time: Whole


class _Model(TypedDict):
    model: str
    bytes: Whole
    run: str
    step: Whole


class _CarriedOn(TypedDict):
    carried_on: str
    time: Whole


class _End(TypedDict):
    end: Literal["FINISHED", "FAILED", "KILLED"]
    time: Whole


FORMS: TypeAdapter[Entry] = TypeAdapter(
    _Parameters | _Metrics | _Tags | _Data | _File | _Picture | _Model | _CarriedOn | _End,
    config=CHECKED,
)
"""What a run may say; times in milliseconds since the epoch."""


NOTED = TypeAdapter(tuple[Whole, list[Whole]], config=CHECKED)
"""Where what is delivered ends in the file, and where the entries end that were set aside."""


class Journal:
    """The entries of a run, one line of JSON each, and which of them the store has.

    A line is on the disk before ``append`` returns, with a checksum; one that a crash tore is
    dropped, and one that is damaged counts as an entry that says nothing. Where the disk takes
    none, entries are kept in memory, with a warning, and each ``append`` tries again. The store
    gets none that a crash could still undo: a run that goes on would say it a second time.

    Attributes:
        entries: all, in order; ``{}`` in the place of a damaged one.
        delivered: the store has so many of these, except those set aside.
        aside: places of the entries that the store refused.

    Args:
        folder: the run's.

    Raises:
        OSError: its files are not regular files of this user's, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.jsonl"
        self._noted = folder / "delivered"
        content = _content(self._file)
        lines = content.split(b"\n")[:-1]
        self.entries: list[Entry] = [_entry(line) for line in lines]
        self._ends = [*_ends(lines)]
        self._written = self._ends[-1] if lines else 0
        self._unwritten = b""
        self._over = False
        noted = _said(_content(self._noted).rstrip(b"\n"))
        try:
            delivered, aside = NOTED.validate_json(noted)
        except ValidationError:  # absent or damaged: delivering again does no harm
            delivered, aside = 0, []
        self.delivered = sum(end <= delivered for end in self._ends)
        self.aside = [place for place, end in enumerate(self._ends) if end in {*aside}]

    @property
    def damaged(self) -> list[int]:
        """Numbers, from 1, of the lines that cannot be read and that the store does not have."""
        lacking = enumerate(self.entries[self.delivered :], self.delivered + 1)
        return [number for number, entry in lacking if not entry]

    @property
    def lacking(self) -> int:
        """Entries that the store does not have."""
        return len(self.pending()) + len(self.aside)

    @property
    def unsaved(self) -> bool:
        """Whether the disk lacks entries, which end with this process."""
        return bool(self._unwritten)

    def append(self, entry: Entry) -> None:
        """Say something more."""
        had_trouble = self.unsaved
        self._unwritten += _line(entry)
        self.entries.append(entry)
        try:
            self._write()
        except OSError as problem:
            if not had_trouble:
                warn(f"{self._file}: cannot be written ({problem.strerror}); training goes on")

    def pending(self) -> list[Entry]:
        """What the store does not have, and may have."""
        return self.entries[self.delivered : None if self._over else len(self._ends)]

    def close(self, *, may_go_on: bool) -> None:
        """Nothing more is said: the store may have also what the disk did not take.

        Args:
            may_go_on: another process says it again; of all that, only the last entry stays.
        """
        if may_go_on:
            del self.entries[len(self._ends) : -1]
        self._over = True

    def deliver_again(self) -> None:
        """Doubt all that is noted as delivered: a store may have been set back since."""
        self.delivered, self.aside = 0, []

    def mark_delivered(self, count: int) -> None:
        """Note that the store has so many entries more."""
        self.delivered += count
        self._note()

    def set_aside(self) -> None:
        """Note that the store refuses the next entry: those after it need not wait."""
        self.aside.append(self.delivered)
        self.mark_delivered(1)

    def forget_aside(self, place: int) -> None:
        """Note that an entry that the store had refused is stored by now, or lost."""
        self.aside.remove(place)
        self._note()

    def _note(self) -> None:
        ends = dict(enumerate(self._ends))
        delivered = ends.get(min(self.delivered, len(ends)) - 1, 0)
        aside = [ends[place] for place in self.aside if place in ends]
        with suppress(OSError):  # it would be delivered again, which does no harm
            files.write(self._noted, _line([delivered, aside]))

    def _write(self) -> None:
        begin = 0 if self._written else os.O_CREAT  # one that is gone is not begun anew
        file = os.open(self._file, os.O_WRONLY | begin | os.O_NOFOLLOW, 0o644)
        try:
            os.ftruncate(file, self._written)
            os.lseek(file, self._written, os.SEEK_SET)
            files.write_all(file, self._unwritten)
            os.fsync(file)
        finally:
            os.close(file)
        new = self._unwritten.split(b"\n")[:-1]
        self._ends += _ends(new, start=self._written)
        self._written = self._ends[-1]
        self._unwritten = b""


def _content(file: Path) -> bytes:
    try:
        return files.read_own(file)
    except FileNotFoundError:
        return b""


def _ends(lines: list[bytes], start: int = 0) -> Iterator[int]:
    """Where each line ends in a file, in bytes."""
    for line in lines:
        start += len(line) + 1
        yield start


def _line(said: object) -> bytes:
    text = json.dumps(said).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _said(line: bytes) -> bytes:
    """What a line says, if it is as it was written; those of earlier versions have no checksum."""
    if line.startswith(b"{"):
        return line
    checksum, _, text = line.partition(b" ")
    return text if checksum == b"%08x" % zlib.crc32(text) else b""


def _entry(line: bytes) -> Entry:
    try:
        return FORMS.validate_json(_said(line))
    except ValidationError:
        return {}
