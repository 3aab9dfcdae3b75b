"""The order of the rooms: each imports only from rooms below it, so that there is no circle.

Only ``tracking/`` knows MLflow, and no function is long.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "fae"
FLOORS = [
    {"errors"},
    {"runtime"},
    {"data"},
    {"tracking", "drawing"},
    {"models"},
    {"training"},
    {"config"},
    {"cli"},
    {"runs"},
    {"analysis"},
    {"reports"},
    {"sweeps"},
    {"tuning"},
    {"paper"},
    {
        *("train", "search", "report", "answers", "sync", "doctor", "api", "__main__"),
        *("reconstruct", "evaluate", "explore", "export", "reproduce"),
    },
]
"""From the ground up; what stands on one floor does not know each other."""
SOURCES = sorted(
    file for name in ("fae", "hydra_plugins") for file in PROJECT.glob(f"{name}/**/*.py")
)
OF_MLFLOW = re.compile(r"\bmlflow\b(?! ui|\.db)|\b(attributes|tags|params)\.[`\w]")
"""A module, a tag or a search condition of MLflow; its page and its database have its name, too."""
LONG, LONGEST, LONG_ONES = 40, 50, 3
"""Lines of a function from which it is long; lines of any at most; long ones at most."""
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
    assert len(entries) <= 30


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*/**/*.py")), ids=str)
def test_a_room_imports_from_rooms_below_it(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0]
    upward = {name for name in imported(file) if name != own and FLOOR[name] >= FLOOR[own]}
    assert upward == set()


@pytest.mark.parametrize(
    "file", [file for file in SOURCES if "tracking" not in file.relative_to(PROJECT).parts], ids=str
)
def test_only_tracking_knows_mlflow(file: Path) -> None:
    tree = ast.parse(file.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    words = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            words += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            words.append(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.append("" if id(node) in docstrings else node.value)
    assert [word for word in words if OF_MLFLOW.search(word)] == []


def test_functions_are_short() -> None:
    lines = {
        f"{file.relative_to(PROJECT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    long = {name: length for name, length in lines.items() if length > LONG}
    assert [name for name, length in long.items() if length > LONGEST] == []
    assert len(long) <= LONG_ONES, long
