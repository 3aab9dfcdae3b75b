"""The documentation: its references are generated, whole, and its commands compose.

That pages and links are there is checked by ``make docs``.
"""

import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import yaml
from conftest import NO_LOCAL, PROJECT

from docs import hooks
from fae.cli import reference
from fae.cli.commands import COMMANDS
from fae.cli.compose import compose

DOCS = PROJECT / "docs"
CONFIGURATION = (DOCS / "reference" / "configuration.md").read_text()
PAGE = hooks.filled(CONFIGURATION)
KEYS = [key for command in ("train", "search", "report") for key in reference.keys(command)]


def commands() -> Iterator[str]:
    """What follows ``fae train`` on the pages, except what needs another package or folder."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text().replace("\\\n", "")
        for line in re.findall(r"^fae train (.*)$", text, re.MULTILINE):
            if not re.search("--config-dir|submitit|--cfg", line):
                yield line


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.name}, {'/'.join(key.options)}")
def test_each_key_is_in_the_reference(key: reference.Key) -> None:
    """Under a heading of its own, with all that is known of it."""
    anchor = "-".join([key.name, *key.options])
    sections = re.findall(rf"{{#{re.escape(anchor)}}}\n(.*?)(?=\n#|\Z)", PAGE, re.DOTALL)
    said = [unescape(re.sub(r"\\(.)", r"\1", section)).replace("`", "") for section in sections]
    values = ", ".join(key.choices) or f"{key.type}, {key.bounds}".removesuffix(", ")
    wanted = f"{key.meaning}\n\nValues: {values}. Default: {key.default}."
    assert wanted in [section.strip() for section in said]


def test_no_key_is_described_by_hand() -> None:
    for line in CONFIGURATION.splitlines():
        if not line.startswith("Every setting is"):  # the two examples
            assert not [key.name for key in KEYS if "." in key.name and key.name in line]
    assert len(CONFIGURATION.splitlines()) < 40


def test_each_command_and_group_is_in_the_reference() -> None:
    page = hooks.filled((DOCS / "reference" / "commands.md").read_text())
    for name, command in COMMANDS.items():
        assert f"### `fae {name}`" in page
        assert all(example in page for example in command.examples)
    for group in reference.groups("train"):
        assert all(f"| `{group.name}={option.name}` |" in PAGE for option in group.options)


def test_a_marker_that_means_nothing_is_an_error() -> None:
    with pytest.raises(KeyError, match="keys of nobody"):
        hooks.filled("<!-- keys of nobody -->")


@pytest.mark.parametrize("command", sorted({*commands()}))
def test_a_command_composes(command: str) -> None:
    """With the first of several values, as those of a sweep stand there."""
    words = [w for w in shlex.split(command, comments=True) if w != "-m" and "hydra" not in w]
    lists = [w if "[" in w or "{" in w else w.partition(",")[0] for w in words]
    compose(NO_LOCAL, *lists)


@pytest.mark.parametrize("page", sorted(PROJECT.glob("*.md")), ids=lambda page: page.name)
def test_the_links_of_pages_outside_of_the_site_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (PROJECT / target).exists(), target


def test_the_tree_for_contributors_names_every_room() -> None:
    tree = (PROJECT / "CONTRIBUTING.md").read_text().partition("\nfae/ ")[2].partition("\nhydra")[0]
    rooms = {init.parent.name for init in PROJECT.glob("fae/*/__init__.py")}
    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == rooms


def test_the_workflow_runs_on_each_python_that_fae_names() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    about = (PROJECT / "pyproject.toml").read_text()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', about)
    assert workflow["jobs"]["check"]["strategy"]["matrix"]["python"] == named
    assert f'requires-python = ">={named[0]},<3.{int(named[-1].partition(".")[2]) + 1}"' in about
