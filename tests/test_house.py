"""The order of the rooms: each imports only from rooms below it, so that there is no circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "fae"
FLOORS = [
    {"errors"},
    {"runtime"},
    {"data", "tracking", "drawing"},
    {"models"},
    {"training"},
    {"config"},
    {"cli"},
    {"runs"},
    {"reports"},
    {"sweeps"},
    {"tuning"},
    {"paper"},
    {"train", "search", "report", "answers", "sync", "doctor", "api"},
]
"""From the ground up; what stands on one floor does not know each other."""
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def imported(file: Path) -> Iterator[str]:
    """The rooms, or modules at the door, that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fae":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fae."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("fae."))


def test_every_entry_has_its_floor() -> None:
    entries = [path for path in PACKAGE.iterdir() if path.name not in {"__pycache__", "py.typed"}]
    assert {path.stem for path in entries} - {"__init__"} == FLOOR.keys()
    assert len(entries) <= 25


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*/**/*.py")), ids=str)
def test_a_room_imports_from_rooms_below_it(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0]
    upward = {name for name in imported(file) if name != own and FLOOR[name] >= FLOOR[own]}
    assert upward == set()
