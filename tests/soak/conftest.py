"""What the soak tests share: how often to try, and the page that tells what was found.

python -m pytest tests/soak            # the short version
python -m pytest tests/soak --soak     # the whole of it; writes docs/reliability.md
"""

from pathlib import Path

import pytest
from soaking import Soak, pytest_runtest_makereport, soak, write_page

__all__ = ["Soak", "pytest_runtest_makereport", "soak"]

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "reliability.md"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    write_page(session, exitstatus, FOLDER, PAGE, "Reliability", "make soak")
