"""What is printed: printable, whoever stored it."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

from fae.runtime import console
from fae.runtime.console import (
    PrintableFormatter,
    _console,
    in_one_line,
    point,
    printable,
    say,
    warn,
    wrapped,
)

EVIL = "\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\r\x00\udc80é"
SHOWN = r"\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\r\x00\udc80é"


def test_what_is_not_printable_is_an_escape() -> None:
    assert printable(f"{EVIL}\nnext") == f"{SHOWN}\nnext"
    assert in_one_line("a\nb") == r"a\nb"


def test_lines_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    warn(EVIL)
    assert capsys.readouterr().out == f"{SHOWN}\nwarning: {SHOWN}\n"


SENTENCE = (
    "  hidden=64 lr=0.5  train 0.0421  test 0.0418 ± 0.0006 (5)  2 min 10 s  run 0123abcd: "
    "python -m fae.sync uploads it to http://127.0.0.1:5000/#/experiments/1/runs/0123456789abcdef"
)


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_a_line_is_wrapped_between_words_and_numbers_keep_their_units(width: int) -> None:
    parts = wrapped(SENTENCE, width)
    assert " ".join(" ".join(parts).split()) == " ".join(SENTENCE.split())
    assert all(len(part) <= width or len(part.split()) == 1 or width == 20 for part in parts)
    assert [part[:4] == "    " for part in parts] == [False] + [True] * (len(parts) - 1)
    for unit in (
        "train 0.0421",
        "0.0418 ± 0.0006 (5)",
        "10 s",
        "run 0123abcd",
        "python -m fae.sync",
    ):
        assert any(unit in part for part in parts), unit


def test_a_command_is_not_wrapped() -> None:
    command = "python -m fae.train -m hidden=64,128,256,512 sweep.retry_failed=true"
    assert wrapped(command, 40) == [command]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **how: Any) -> io.StringIO:
    """Standard output as a terminal of 40 columns."""
    file = io.StringIO()
    terminal = _console(file=file, width=40, force_terminal=True, **how)
    monkeypatch.setattr(console, "console", lambda: terminal)
    return file


def test_only_a_terminal_gets_a_text_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "word " * 20 + "end"
    plain = io.StringIO()
    say(text, _console(file=plain, width=40))
    assert plain.getvalue() == f"{text}\n"
    file = on_a_terminal(monkeypatch, color_system=None)
    say(text)
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 40


def test_an_address_is_a_link_in_one_piece(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = "http://127.0.0.1:5000/#/experiments/1/runs/0123456789abcdef"
    file = on_a_terminal(monkeypatch, color_system="standard")
    point("open", address)
    assert re.fullmatch(
        rf"open     \x1b]8;id=\d+;{address}\x1b\\{address}\x1b]8;;\x1b\\\n", file.getvalue()
    )
    point("report", tmp_path / "a b\x07.html")
    assert f";{tmp_path.as_uri()}/a%20b%07.html\x1b" in file.getvalue()
    assert f"{tmp_path}/a b\\x07.html\x1b" in file.getvalue()
    point("start", "mlflow ui")
    assert file.getvalue().endswith("\nstart    mlflow ui\n")


def test_colours_are_a_terminals_and_left_out_if_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, shown in (
        ({}, "\x1b[33mwarning: x\x1b[0m\n"),
        ({"NO_COLOR": "1"}, "warning: x\n"),
    ):
        file = on_a_terminal(monkeypatch, color_system="standard", _environ=variables)
        warn("x")
        assert file.getvalue() == shown
    plain = io.StringIO()
    say("x", _console(file=plain), style="red")
    assert plain.getvalue() == "x\n"


def test_tables_and_bars_are_printable() -> None:
    """And the control codes of the bar itself stay."""
    console = _console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    table = Table(EVIL)
    table.add_row(EVIL)
    console.print(table)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(EVIL)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count(r"\x1b]0;title") >= 3
    assert "\x1b[?25l" in shown
    assert not any(raw in shown for raw in ("\x1b]", "\x9b", "\u202e", "\x1b[2J"))


def test_a_log_is_printable() -> None:
    """Also the traceback of an error, which says what others stored."""
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("name", logging.WARNING, "", 0, "%s", (EVIL,), info)
    lines = PrintableFormatter("%(levelname)s %(message)s").format(record).splitlines()
    assert lines[0] == f"WARNING {SHOWN}"
    assert lines[-1] == f"ValueError: {SHOWN}"
