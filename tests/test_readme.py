"""The README tells the truth: commands compose, tables are those of today, pictures are there."""

import re
import shlex
from pathlib import Path

import photographs
import pytest
from conftest import NO_LOCAL, PROJECT

import fae.report
from benchmarks import tables
from fae.cli.compose import compose
from fae.reports.config import ReportConfig

README = (PROJECT / "README.md").read_text()
COMMANDS = re.findall(r"^python -m fae\.train (.*)$", README, re.MULTILINE)
REPORTS = re.findall(r"^python -m fae\.report ?(.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] != "--help"])
def test_a_command_composes(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value of a sweep, one at a time, and what it asks for is what one gets."""
    if "photos" in command:
        photographs.photographs(tmp_path / "photos", 200)
        monkeypatch.chdir(tmp_path)
    arguments = [a for a in shlex.split(command, comments=True) if a != "-m"]
    sweeps = [a for a in arguments if "," in a]
    for argument in sweeps or [""]:
        key, _, values = argument.partition("=")
        for value in values.split(","):
            others = [a for a in arguments if a != argument and a not in sweeps]
            asked = [*others, *([f"{key}={value}"] if key else [])]
            parameters = compose(NO_LOCAL, *asked).parameters()
            for name, _, wanted in (override.partition("=") for override in asked):
                got = parameters.get(name)
                assert got is None or got == type(got)(wanted)


@pytest.mark.parametrize("command", REPORTS)
def test_a_report_command_is_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[ReportConfig] = []
    monkeypatch.setattr(fae.report, "report", requests.append)
    arguments = shlex.split(command, comments=True)
    fae.report._run([NO_LOCAL, *arguments])
    (request,) = requests
    given = dict(argument.split("=", 1) for argument in arguments)
    assert ",".join(request.sweep) == given.get("sweep", "")
    assert request.where == given.get("where")
    assert request.out == (PROJECT / given["out"] if "out" in given else None)


def test_the_table_is_the_reports() -> None:
    table = (PROJECT / "docs" / "report" / "table.md").read_text()
    assert f"<!-- docs/report/table.md -->\n{table}<!-- end -->" in README


def test_the_table_of_families_is_their_reports() -> None:
    page, table = (PROJECT / "docs" / name for name in ("families.md", "families/table.md"))
    assert f"<!-- families/table.md -->\n{table.read_text()}<!-- end -->" in page.read_text()


def test_the_distances_to_pca_are_those_of_the_answers() -> None:
    table = README.partition("<!-- docs/answers.md -->\n")[2].partition("<!-- end -->")[0]
    assert table.count("\n") == 6
    assert table in (PROJECT / "docs" / "answers.md").read_text()


def test_the_speeds_are_those_that_were_measured() -> None:
    machines = tables.read()
    assert f"<!-- docs/speed/*.json -->\n{tables.summary(machines)}\n<!-- end -->" in README
    assert (tables.SPEED / "table.md").read_text() == tables.report(machines)


def test_the_make_targets_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    used = re.findall(r"^make ([\w-]+)", README, re.MULTILINE)
    assert len(used) >= 4
    assert set(used) <= set(targets)


def test_links_and_pictures_are_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"(.+?)\"", README)
    assert len(targets) >= 3
    for target in map("".join, targets):
        assert target.startswith("https://") or (PROJECT / target).exists(), target
