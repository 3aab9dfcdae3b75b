"""Folders that appear as a whole or not at all, however the process that fills them ends."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fae.runtime import files
from fae.runtime.signals import allow_signals, defer_signals


@contextmanager
def whole(folder: Path, kind: str, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A new folder to be filled within the block, which then takes the place of ``folder``.

    It is filled beside that. What a process left there that was killed meanwhile is removed.

    Args:
        kind: of the content, in a word.
        is_ours: whether a folder has such content and nothing else, so that it may be removed.

    Raises:
        OSError: it cannot be written; ``folder`` is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent, kind, is_ours)
    with (
        defer_signals(),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{kind}-") as scratch,
        files.locked(Path(scratch)),
    ):
        fresh = Path(scratch, "new")
        with allow_signals():
            fresh.mkdir()
            yield fresh
            files.sync_tree(fresh, Path(scratch))
        if folder.exists():
            files.exchange(fresh, folder)
        else:
            os.replace(fresh, folder)
        files.sync(folder.parent)


def _remove_abandoned(parent: Path, kind: str, is_ours: Callable[[Path], bool]) -> None:
    for scratch in parent.glob(f".{kind}-*"):
        fresh = scratch / "new"  # made under the lock
        with suppress(OSError):
            if [*scratch.iterdir()] == [fresh] and is_ours(fresh):
                with files.locked(scratch):
                    shutil.rmtree(scratch)
