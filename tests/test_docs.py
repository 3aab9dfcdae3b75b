"""The documentation: its references are generated, whole, and its commands compose.

That pages and links are there is checked by ``make docs``.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from html import unescape
from importlib import import_module
from pathlib import Path

import numpy as np
import photographs
import pytest
import yaml
from conftest import NO_LOCAL, PROJECT

import fae.report
from docs import hooks
from fae.cli import reference
from fae.cli.commands import COMMANDS
from fae.cli.compose import check, compose, compose_jobs
from fae.cli.hydra_internals import parsed
from fae.cli.options import in_order
from fae.tuning.check import read_search

DOCS = PROJECT / "docs"
CONFIGURATION = (DOCS / "reference" / "configuration.md").read_text()
PAGE = hooks.filled(CONFIGURATION)
KEYS = [key for command in ("train", "search", "report") for key in reference.keys(command)]


def commands() -> Iterator[str]:
    """The commands on the pages for users, in a line each, except those of other packages."""
    for page in (DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))):
        for block in re.findall(r"^```.*?^```", page.read_text(), re.MULTILINE | re.DOTALL):
            lines = re.findall(
                r"^(?:fae |python -m fae\.)(.+)$", block.replace("\\\n", ""), re.MULTILINE
            )
            yield from (line for line in lines if not re.search("--config-dir|submitit", line))


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


@pytest.fixture(scope="module")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that the pages name."""
    folder = tmp_path_factory.mktemp("own")
    photographs.photographs(folder / "photos", 200)
    np.savez(folder / "mine.npz", images=np.zeros((200, 8, 8), np.uint8))
    return folder


@pytest.mark.parametrize("line", sorted({*commands()}))
def test_a_command_composes(
    line: str, own_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job of a sweep, and each study of a search."""
    if re.search("data=(folder|npz)", line):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.chdir(own_images)
    name, *arguments = shlex.split(line, comments=True)
    assert name in COMMANDS
    if name == "report":
        monkeypatch.setattr(fae.report, "report", lambda _: None)
        fae.report._run([NO_LOCAL, *arguments])
        return
    if name in {"reconstruct", "evaluate", "explore"}:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        given = vars(import_module(f"fae.{name}")._arguments())
        words = given.get("images", given.get("words", []))
        compose(NO_LOCAL, "batch_size=1", *(word for word in words if "=" in word))
        return
    overrides = [NO_LOCAL, *parsed(in_order(arguments, ())).overrides]
    if name == "train":
        compose_jobs("config", overrides, lambda node, _: check(node))
    elif name == "search":
        compose_jobs("search", overrides, lambda node, own: read_search(check(node), node, own))
    else:
        compose(*overrides)


def test_commands_of_several_lines_are_whole() -> None:
    whole = "search hidden=64 search.space.lr=null '+search.space.optimizer.momentum=[0.0,0.9]'"
    assert whole in {" ".join(line.split()) for line in commands()}


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
