"""The journal of a run: all that it logs, in a file of its folder until it is in the store."""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from fae.runtime import files
from fae.runtime.console import warn

Entry = Mapping[str, Any]
"""One of the ``FORMS``."""

Whole = Annotated[int, Field(ge=0, lt=2**63)]
Key = Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)]
BATCH = 1000
"""Metrics of an entry, at most: MLflow's limit per request."""
Few = Annotated[dict[str, str], Field(max_length=100)]
"""Parameters or tags of an entry; MLflow's limit as well."""
CHECKED = ConfigDict(strict=True, extra="forbid")


class _About(TypedDict):
    name: str
    digest: str
    source: str
    sizes: dict[str, Whole]


@with_config(CHECKED)
class _Fields(TypedDict, total=False):
    """All that entries consist of; times in milliseconds since the epoch."""

    parameters: Few
    tags: Few
    data: _About
    metrics: Annotated[dict[str, float], Field(max_length=BATCH)]
    file: str
    picture: str
    model: str
    carried_on: str
    end: Literal["FINISHED", "FAILED", "KILLED"]
    bytes: Whole
    key: Key
    run: str
    step: Whole
    time: Whole


FIELDS = TypeAdapter(_Fields)
FORMS = [
    {"parameters"},
    {"tags"},
    {"data"},
    {"metrics", "step", "time"},
    {"file", "bytes"},
    {"picture", "bytes", "key", "step", "time"},
    {"model", "bytes", "run", "step"},
    {"carried_on", "time"},
    {"end", "time"},
]
"""The fields of each kind of entry."""
NOTED = TypeAdapter(tuple[Whole, list[Whole]], config=CHECKED)
"""Byte offsets in the journal: the end of what is uploaded, and the ends of rejected entries."""


class Journal:
    """The entries of a run, one line of JSON each, and which of them are in the store.

    A line is on the disk before ``append`` returns, with a checksum; a line cut short by a crash is
    dropped, and a damaged one counts as an empty entry. If the disk is full, entries are kept in
    memory, with a warning, and each ``append`` tries again. Only entries on the disk are uploaded:
    a resumed run would log the others a second time.

    Attributes:
        entries: all, in order; ``{}`` for a damaged one.
        delivered: number of entries in the store, with those set aside.
        aside: indices of the entries that the store rejected.

    Args:
        folder: of the run.

    Raises:
        OSError: its files are not regular files of this user, or cannot be read.
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
        except ValidationError:  # absent or damaged: uploading again does no harm
            delivered, aside = 0, []
        self.delivered = sum(end <= delivered for end in self._ends)
        self.aside = [place for place, end in enumerate(self._ends) if end in {*aside}]

    @property
    def damaged(self) -> list[int]:
        """Numbers, from 1, of damaged lines that are not in the store."""
        lacking = enumerate(self.entries[self.delivered :], self.delivered + 1)
        return [number for number, entry in lacking if not entry]

    @property
    def lacking(self) -> int:
        """The number of entries that are not in the store."""
        return len(self.pending()) + len(self.aside)

    @property
    def unsaved(self) -> bool:
        """Whether entries are in memory only."""
        return bool(self._unwritten)

    @property
    def written(self) -> int:
        """The number of entries on the disk."""
        return len(self._ends)

    def append(self, *entries: Entry) -> None:
        """Write entries."""
        had_trouble = self.unsaved
        self._unwritten += b"".join(map(_line, entries))
        self.entries += entries
        try:
            self._write()
        except OSError as problem:
            if not had_trouble:
                warn(f"{self._file}: cannot be written ({problem.strerror}); training continues")

    def pending(self) -> list[Entry]:
        """The entries to upload next."""
        return self.entries[self.delivered : None if self._over else len(self._ends)]

    def close(self, *, may_resume: bool) -> None:
        """Allow to upload also the entries in memory, as none will follow.

        Args:
            may_resume: a resumed run logs those entries again, so all but the last are dropped.
        """
        if may_resume:
            del self.entries[len(self._ends) : -1]
        self._over = True

    def mark_all_pending(self) -> None:
        """Mark everything as not uploaded: the store may have been restored from a backup."""
        self.delivered, self.aside = 0, []

    def mark_uploaded(self, count: int) -> None:
        """Mark the next entries as uploaded."""
        self.delivered += count
        self._note()

    def set_aside(self) -> None:
        """Mark the next entry as rejected, so that those after it need not wait."""
        self.aside.append(self.delivered)
        self.mark_uploaded(1)

    def forget_rejected(self, place: int) -> None:
        """Mark a rejected entry as uploaded, or as lost."""
        self.aside.remove(place)
        self._note()

    def _note(self) -> None:
        ends = dict(enumerate(self._ends))
        delivered = ends.get(min(self.delivered, len(ends)) - 1, 0)
        aside = [ends[place] for place in self.aside if place in ends]
        with suppress(OSError):  # otherwise it is uploaded again, which does no harm
            files.write(self._noted, _line([delivered, aside]))

    def _write(self) -> None:
        begin = 0 if self._written else os.O_CREAT  # a deleted file is not created again
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
    """Byte offsets of the ends of lines."""
    for line in lines:
        start += len(line) + 1
        yield start


def _line(said: object) -> bytes:
    text = json.dumps(said).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _said(line: bytes) -> bytes:
    """The text of an undamaged line, or empty; lines of earlier versions have no checksum."""
    if line.startswith(b"{"):
        return line
    checksum, _, text = line.partition(b" ")
    return text if checksum == b"%08x" % zlib.crc32(text) else b""


def _entry(line: bytes) -> Entry:
    try:
        entry = FIELDS.validate_json(_said(line))
    except ValidationError:
        return {}
    return entry if entry.keys() in FORMS else {}
