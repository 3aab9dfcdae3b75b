"""Durable writes: whole or not at all, and on the disk when they return."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fae.runtime import files


def test_what_is_written_is_there(tmp_path: Path) -> None:
    files.write(tmp_path / "new", b"first")
    files.write(tmp_path / "new", memoryview(b"second"))
    assert (tmp_path / "new").read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["new"]


def test_the_content_is_on_the_disk_before_its_name_and_its_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    opened: dict[int, str] = {}

    def recorded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            result = call(*arguments)
            if name == "open":
                opened[result] = Path(arguments[0]).name
            else:
                events.append(f"fsync {opened[arguments[0]]}" if name == "fsync" else name)
            return result

        return record

    for name in ("open", "write", "fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    files.write(tmp_path / "file", b"content")
    assert events == ["write", "fsync .file.part", "replace", f"fsync {tmp_path.name}"]


def test_a_write_that_the_system_takes_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:3]))
    files.write(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.write(tmp_path / "file", b"old")
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_not_there_is_the_error_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "nowhere" / "file", b"content")


@pytest.mark.parametrize("at_once", [True, False])
def test_folders_change_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.setattr(files, "EXCHANGE", -1)  # nothing that the system knows
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "said").write_text(name)
    files.exchange(tmp_path / "first", tmp_path / "second")
    assert (tmp_path / "first" / "said").read_text() == "second"
    assert (tmp_path / "second" / "said").read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


def test_a_folder_stays_where_the_other_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError):
        files.exchange(tmp_path / "gone", tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
