"""What is printed: printable, whoever stored it."""

import io
import logging

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

from fae.runtime.console import PrintableFormatter, _console, in_one_line, printable, say, warn

EVIL = "\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\r\x00\udc80é"
SHOWN = r"\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\r\x00\udc80é"


def test_what_is_not_printable_is_an_escape() -> None:
    assert printable(f"{EVIL}\nnext") == f"{SHOWN}\nnext"
    assert in_one_line("a\nb") == r"a\nb"


def test_lines_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    warn(EVIL)
    assert capsys.readouterr().out == f"{SHOWN}\nwarning: {SHOWN}\n"


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
