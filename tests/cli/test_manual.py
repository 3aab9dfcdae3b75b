"""--help: every key with its meaning, at any width, and nothing that is not taken."""

import re
import shlex
import sys
from collections.abc import Callable
from importlib import import_module

import pytest
from conftest import NO_LOCAL

from fae.cli import manual
from fae.cli.commands import COMMANDS, COMPLETION
from fae.cli.compose import compose_as, compose_jobs
from fae.cli.options import in_order
from fae.cli.reference import COMMANDS as COMPOSED
from fae.cli.reference import groups, keys
from fae.config import Config
from fae.runtime.console import console

Help = Callable[..., str]
COMMAND_LINES = [line for c in COMMANDS.values() for line in c.examples]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Help:
    """The help of a command in a terminal of some columns."""

    def read(name: str, columns: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        console.cache_clear()
        manual.of(name)
        console.cache_clear()
        return capsys.readouterr().out

    return read


def in_a_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("name", COMPOSED)
def test_every_key_is_there_with_its_meaning_bounds_and_default(
    told: Help, name: str, columns: int
) -> None:
    text = told(name, columns)
    assert max(map(len, text.splitlines())) <= min(columns, manual.WIDEST)
    for key in keys(name):
        expected = re.escape(in_a_line(f"{key.name} {key.meaning}")) + r" \[((?:\[[^]]*\]|[^]])*)\]"
        (facts,) = re.findall(expected, in_a_line(text))
        for fact in (key.bounds, key.default, *key.choices, *key.options):
            assert in_a_line(fact) in facts


@pytest.mark.parametrize("name", COMPOSED)
def test_nothing_is_there_that_the_command_does_not_take(told: Help, name: str) -> None:
    terms = re.findall(r"^  ([a-z][\w.]*)  ", told(name, 200), re.MULTILINE)
    taken = {key.name for key in keys(name)}
    assert set(terms) == taken
    options = re.findall(r"^  (\w+)=(\S+)  ", told(name, 200), re.MULTILINE)
    assert set(options) == {(g.name, o.name) for g in groups(name) for o in g.options}


def test_no_word_is_broken(told: Help) -> None:
    words = set(told("train", 120).split())
    for columns in range(60, 120, 7):
        assert set(told("train", columns).split()) <= words


@pytest.mark.parametrize("name", [*COMMANDS, "completion"])
def test_no_line_ends_with_a_blank(told: Help, name: str) -> None:
    for columns in (40, 60, 80):
        assert [line for line in told(name, columns).splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("name", [*COMMANDS, "completion"])
def test_it_is_plain_text_with_examples(told: Help, name: str) -> None:
    text = told(name, 80)
    command = {**COMMANDS, "completion": COMPLETION}[name]
    assert text.startswith(command.summary.split()[0])
    assert f"usage: fae {name} {command.usage}\n" in text
    assert "`" not in text
    assert "\x1b" not in text
    assert all(example in in_a_line(text) for example in command.examples)
    assert ("exit codes\n  0         done\n  1 " in text) == (name in COMMANDS)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_an_example_is_right(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, name, *arguments = shlex.split(line)
    if name in {"reconstruct", "evaluate", "explore"}:  # with options of their own
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        given = vars(import_module(f"fae.{name}")._arguments())
        arguments = given.get("images", given.get("words"))
    overrides = [word for word in in_order(arguments, ()) if "=" in word and word != "-m"]
    if name == "train":
        compose_jobs("config", [NO_LOCAL, *overrides], lambda node, _: node)
    elif name == "search":
        compose_jobs("search", [NO_LOCAL, *overrides], lambda node, _: node)
    elif name != "report":
        compose_as("config", Config, NO_LOCAL, *overrides)
    assert name in COMMANDS


def test_the_overview_has_a_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    manual.overview()
    text = in_a_line(capsys.readouterr().out)
    for name, command in {**COMMANDS, "completion": COMPLETION}.items():
        assert f" {name} {command.summary}" in text
