"""What the soak tests share: how often to try, and the page that tells what was found.

python -m pytest tests/soak            # the short version
python -m pytest tests/soak --soak     # the whole of it; writes docs/reliability.md
"""

import platform
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from fae.runs.provenance import code

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


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


ROWS = pytest.StashKey[list[tuple[str, str, float]]]()
PASSED = pytest.StashKey[set[tuple[str, str]]]()
"""Files and names of the tests that did."""


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Iterator[Soak]:
    """The first line of the test's docstring is the requirement on the page."""
    soak = Soak(whole=request.config.getoption("--soak"))
    start = time.monotonic()
    yield soak
    requirement = request.function.__doc__.strip().partition("\n")[0].rstrip(".")
    rows = request.config.stash.setdefault(ROWS, [])
    rows += [(requirement, outcome, time.monotonic() - start) for outcome in soak.found]


def every_test() -> set[tuple[str, str]]:
    """Files and names of all tests of this folder, asked for or not."""
    return {
        (file.name, name)
        for file in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests passed."""
    report = yield
    if report.when == "call" and report.passed:
        item.config.stash.setdefault(PASSED, set()).add((item.path.name, item.name))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, if each and every test of this folder ran and passed."""
    config = session.config
    passed = exitstatus == pytest.ExitCode.OK and config.stash.get(PASSED, set()) == every_test()
    if not (config.option.soak and passed):
        return
    rows = config.stash[ROWS]
    lines = [
        "# Reliability",
        "",
        f"What `make soak` found, on {psutil.cpu_count(logical=False)} cores with Python "
        f"{platform.python_version()}, at commit {code()['fae.commit'][:12]}. In each test "
        "what was disturbed is held against what was not, in one run.",
        "",
        "| requirement | found | s |",
        "| --- | --- | --- |",
        *(f"| {requirement} | {outcome} | {taken:.0f} |" for requirement, outcome, taken in rows),
    ]
    PAGE.write_text("\n".join(lines) + "\n")
