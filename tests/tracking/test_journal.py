"""A run's journal: whole lines in order, whatever the disk and a crash make of it."""

import errno
import json
from pathlib import Path

import pytest

from fae.runtime import files
from fae.tracking.journal import Entry, Journal


def said(count: int, start: int = 0) -> list[Entry]:
    return [
        {"metrics": {"a": float("nan")}, "step": step, "time": 1}
        for step in range(start, start + count)
    ]


def written(folder: Path, entries: list[Entry]) -> Journal:
    journal = Journal(folder)
    for entry in entries:
        journal.append(entry)
    return journal


def raise_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def steps(entries: list[Entry]) -> list[int]:
    return [entry["step"] for entry in entries]


def test_entries_and_what_is_delivered_outlast_the_process(tmp_path: Path) -> None:
    written(tmp_path, said(5)).mark_uploaded(2)
    journal = written(tmp_path, said(2, start=5))
    assert steps(journal.entries) == [0, 1, 2, 3, 4, 5, 6]
    journal.mark_uploaded(2)
    assert steps(Journal(tmp_path).pending()) == [4, 5, 6]


def test_several_entries_are_written_at_once(tmp_path: Path) -> None:
    journal = written(tmp_path, said(2))
    journal.append(*said(3, start=2))
    assert journal.written == 5
    assert steps(Journal(tmp_path).entries) == [0, 1, 2, 3, 4]


def test_a_line_that_a_crash_tore_is_dropped(tmp_path: Path) -> None:
    written(tmp_path, said(3))
    file = tmp_path / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-4])
    assert steps(Journal(tmp_path).entries) == [0, 1]
    written(tmp_path, said(1, start=7))
    assert steps(Journal(tmp_path).entries) == [0, 1, 7]


def test_what_was_delivered_and_lost_by_a_crash_hides_nothing(tmp_path: Path) -> None:
    written(tmp_path, said(3)).mark_uploaded(3)
    (tmp_path / "journal.jsonl").write_text("")
    assert steps(written(tmp_path, said(2)).pending()) == [0, 1]


def test_the_store_gets_nothing_that_is_not_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    pending_while_written: list[list[Entry]] = []
    monkeypatch.setattr(
        files, "write_all", lambda *_: pending_while_written.append(journal.pending())
    )
    journal.append({"tags": {"a": "b"}})
    assert pending_while_written == [[]]
    assert journal.pending() == [{"tags": {"a": "b"}}]


def test_entries_wait_in_memory_for_a_file_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "later"
    journal = written(folder, said(3))
    assert (steps(journal.entries), journal.pending()) == ([0, 1, 2], [])
    folder.mkdir()
    journal.append(said(1, start=3)[0])
    assert steps(journal.pending()) == steps(Journal(folder).entries) == [0, 1, 2, 3]
    (warning,) = capsys.readouterr().out.splitlines()
    assert warning == (
        f"warning: {folder}/journal.jsonl: cannot be written (No such file or directory); "
        "training continues"
    )


@pytest.mark.parametrize(("may_resume", "left"), [(False, [1, 2, 3]), (True, [1, 3])])
def test_at_the_end_the_store_gets_what_never_came_to_the_disk_and_nobody_says_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_resume: bool, left: list[int]
) -> None:
    journal = written(tmp_path, said(2))
    journal.mark_uploaded(1)
    with monkeypatch.context() as full:
        full.setattr(files, "write_all", raise_full)
        for entry in said(2, start=2):
            journal.append(entry)
        journal.close(may_resume=may_resume)
    assert steps(journal.pending()) == left
    journal.mark_uploaded(len(left))
    later = written(tmp_path, said(1, start=9))
    assert (steps(later.entries), steps(later.pending())) == ([0, 1, 9], [9])
    assert steps(Journal(tmp_path).pending()) == [9]


@pytest.mark.parametrize("may_resume", [False, True])
def test_the_end_of_a_run_whose_disk_took_all_drops_nothing(
    tmp_path: Path, may_resume: bool
) -> None:
    journal = written(tmp_path, said(3))
    journal.close(may_resume=may_resume)
    assert steps(journal.pending()) == [0, 1, 2]


def test_a_disk_that_fills_up_in_the_middle_of_a_line_tears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = written(tmp_path, said(1))
    write_all = files.write_all

    def half(file: int, content: bytes) -> None:
        write_all(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    for full in (True, False, True, False):
        monkeypatch.setattr(files, "write_all", half if full else write_all)
        for entry in said(2, start=len(journal.entries)):
            journal.append(entry)
    assert steps(Journal(tmp_path).entries) == list(range(9))
    assert capsys.readouterr().out.count("No space left on device") == 2


def test_a_line_that_is_damaged_says_nothing_and_hides_nothing(tmp_path: Path) -> None:
    """Each bit of a journal of three lines, of which the store has the first, flipped."""
    for folder in (tmp_path / "whole", tmp_path / "flipped"):
        folder.mkdir()
    written(tmp_path / "whole", said(3)).mark_uploaded(1)
    content = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    delivered = (tmp_path / "whole" / "delivered").read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "flipped" / "journal.jsonl").write_bytes(flipped)
        (tmp_path / "flipped" / "delivered").write_bytes(delivered)
        journal = Journal(tmp_path / "flipped")
        line = content[:place].count(b"\n")
        kept = [step for step in range(3) if step not in (line, line + (content[place] == 10))]
        assert [entry["step"] for entry in journal.entries if entry] == kept
        pending = [entry["step"] for entry in journal.pending() if entry]
        assert pending == [step for step in kept if step > 0]


def test_a_damaged_count_delivers_again(tmp_path: Path) -> None:
    written(tmp_path, said(3)).mark_uploaded(2)
    count = tmp_path / "delivered"
    content = count.read_bytes()
    assert steps(Journal(tmp_path).pending()) == [2]
    for place in range(len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        count.write_bytes(flipped)
        assert steps(Journal(tmp_path).pending()) == [0, 1, 2]


def test_lines_of_an_earlier_version_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"tags": {"a": "b"}}\n{"end": "KILLED", "time": 1}\n')
    (tmp_path / "delivered").write_text("1")
    assert Journal(tmp_path).pending() == [{"tags": {"a": "b"}}, {"end": "KILLED", "time": 1}]


@pytest.mark.parametrize(
    "line",
    [
        '{"metrics": {"a": "1"}, "step": 1, "time": 1}',
        '{"metrics": {"a": 1}, "step": -1, "time": 1}',
        '{"metrics": {"a": 1}, "step": 1, "time": 9223372036854775808}',
        '{"picture": "p", "bytes": 1, "key": "../p", "step": 1, "time": 1}',
        '{"end": "RUNNING", "time": 1}',
        '{"end": "KILLED", "time": 1, "more": 1}',
        '{"tags": {"a": {}}}',
        '{"tags": null}',
        json.dumps({"metrics": {f"{n}": 0.0 for n in range(1001)}, "step": 1, "time": 1}),
        json.dumps({"tags": {f"{n}": "" for n in range(101)}}),
        "[" * 10_000,
        "{}",
        "",
    ],
)
def test_what_is_not_of_a_known_form_says_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "journal.jsonl").write_text(f'{line}\n{{"end": "KILLED", "time": 1}}\n')
    journal = Journal(tmp_path)
    assert journal.entries == [{}, {"end": "KILLED", "time": 1}]
    assert journal.damaged == [1]


def test_nothing_is_read_or_written_through_a_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    for name in ("journal.jsonl", "delivered"):
        (tmp_path / name).symlink_to(theirs)
        with pytest.raises(OSError, match="symbolic links"):
            Journal(tmp_path)
        (tmp_path / name).unlink()
    journal = written(tmp_path, said(1))
    (tmp_path / ".delivered.part").symlink_to(theirs)
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "journal.jsonl").symlink_to(theirs)
    journal.mark_uploaded(1)
    journal.append(said(1)[0])
    assert theirs.read_text() == "theirs"


def test_what_the_store_refuses_is_set_aside_and_outlasts_the_process(tmp_path: Path) -> None:
    journal = written(tmp_path, said(4))
    journal.mark_uploaded(1)
    journal.set_aside()
    journal.set_aside()
    again = Journal(tmp_path)
    assert (steps(again.pending()), again.aside, again.lacking) == ([3], [1, 2], 3)
    again.forget_rejected(1)
    again.mark_uploaded(1)
    last = Journal(tmp_path)
    assert (last.pending(), last.aside, last.lacking) == ([], [2], 1)
