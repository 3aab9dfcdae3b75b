"""Tests that soak: how often they try, and the page that tells what they found."""

import platform
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from fae.runs.provenance import code


@dataclass
class Soak:
    """How one test soaks.

    Attributes:
        whole: whether this is the whole of it, or the short version.
        found: what the test tells about its outcome, such as ``200 of 200 runs identical``.
    """

    whole: bool
    found: list[str] = field(default_factory=list)

    def times(self, short: int, whole: int) -> int:
        """How often to try."""
        return whole if self.whole else short

    def tell(self, outcome: str) -> None:
        """Put a line on the page."""
        self.found.append(outcome)


ROWS = pytest.StashKey[list[tuple[Path, str, float]]]()
PASSED = pytest.StashKey[set[tuple[Path, str]]]()
"""Files and names of the tests that did."""


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Iterator[Soak]:
    """The first line of the test's docstring is the requirement on the page."""
    soak = Soak(whole=request.config.getoption("--soak"))
    start = time.monotonic()
    yield soak
    requirement = request.function.__doc__.strip().partition("\n")[0].rstrip(".")
    taken = time.monotonic() - start
    rows = request.config.stash.setdefault(ROWS, [])
    rows += [(request.path, f"{requirement} | {outcome}", taken) for outcome in soak.found]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests passed."""
    report = yield
    if report.when == "call" and report.passed:
        item.config.stash.setdefault(PASSED, set()).add((item.path, item.name.partition("[")[0]))
    return report


def write_page(
    session: pytest.Session, exitstatus: int, folder: Path, page: Path, title: str, command: str
) -> None:
    """Write what a command found, if each and every test of a folder ran and passed."""
    config = session.config
    passed = config.stash.get(PASSED, set())
    ran = exitstatus == pytest.ExitCode.OK and _every_test(folder) <= passed
    if not (config.option.soak and ran):
        return
    rows = [row for row in config.stash[ROWS] if row[0].parent == folder]
    lines = [
        f"# {title}",
        "",
        f"What `{command}` found, on {psutil.cpu_count(logical=False)} cores with Python "
        f"{platform.python_version()}, at commit {code()['fae.commit'][:12]}. In each test "
        "what was disturbed is held against what was not, in one run.",
        "",
        "| requirement | found | s |",
        "| --- | --- | --- |",
        *(f"| {outcome} | {taken:.0f} |" for _, outcome, taken in rows),
    ]
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n".join(lines) + "\n")


def _every_test(folder: Path) -> set[tuple[Path, str]]:
    """Files and names of all tests of a folder, asked for or not."""
    return {
        (file, name)
        for file in folder.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
