"""What a run says, in a file of its folder before it is in the store."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fae import durable
from fae.terminal import warn

Entry = Mapping[str, Any]


class Journal:
    """The entries of a run, a line of JSON each, and how many of them the store has.

    A line is on the disk before ``append`` returns; one that a crash tore is dropped. Where
    the disk takes none, entries are kept in memory, with a warning, and each ``append`` tries
    again. The store gets none that a crash could still undo: a run that goes on would say it
    a second time.

    Attributes:
        entries: all, in order.
        delivered: of these the store has so many.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.jsonl"
        self._count = folder / "delivered"
        content = self._file.read_bytes() if self._file.exists() else b""
        self._written = content.rfind(b"\n") + 1
        self._unwritten = b""
        self.entries: list[Entry] = [
            json.loads(line) for line in content[: self._written].splitlines()
        ]
        self._on_disk = len(self.entries)
        self._over = False
        delivered = int(self._count.read_text()) if self._count.exists() else 0
        self.delivered = min(delivered, len(self.entries))

    def append(self, entry: Entry) -> None:
        """Say something more."""
        had_trouble = bool(self._unwritten)
        self._unwritten += json.dumps(entry).encode() + b"\n"
        self.entries.append(entry)
        try:
            self._write()
        except OSError as problem:
            if not had_trouble:
                warn(f"{self._file}: cannot be written ({problem.strerror}); training goes on")

    def pending(self) -> list[Entry]:
        """What the store does not have, and may have."""
        return self.entries[self.delivered : None if self._over else self._on_disk]

    def close(self, *, may_go_on: bool) -> None:
        """Nothing more is said: the store may have also what the disk did not take.

        Args:
            may_go_on: another process says it again; of all that, only the last entry stays.
        """
        if may_go_on:
            del self.entries[self._on_disk : -1]
        self._over = True

    def mark_delivered(self, count: int) -> None:
        """Note that the store has so many entries more."""
        self.delivered += count
        with suppress(OSError):  # it would be delivered again, which does no harm
            durable.write(self._count, str(min(self.delivered, self._on_disk)).encode())

    def _write(self) -> None:
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.ftruncate(file, self._written)
            os.lseek(file, self._written, os.SEEK_SET)
            durable.write_all(file, self._unwritten)
            os.fsync(file)
        finally:
            os.close(file)
        self._written += len(self._unwritten)
        self._unwritten = b""
        self._on_disk = len(self.entries)
