"""What is told of the circumstances of two runs."""

import subprocess
from pathlib import Path

import pytest
from records import training

from fae.runs import provenance
from fae.runs.circumstances import CHANGES, CODE, changes, differences
from fae.runs.fingerprint import SHARED, files
from fae.runtime.installation import PACKAGE

THEN = {CODE: "a", "commit": "b", "threads": "2", "numpy": "2.0", "torch": "2.15", "rich": "15"}
DIFF = """# new: fae/new.py
diff --git a/fae/old.py b/fae/renamed.py
index 1..2
+diff --git is not the beginning of this line
diff --git a/fae/gone.py b/fae/gone.py
--- a/fae/gone.py
+++ /dev/null
diff --git a/README.md b/README.md
"""


def test_nothing_is_different_of_the_same() -> None:
    assert differences(THEN, {**THEN}) == []


def test_what_is_different_is_named_with_both_values() -> None:
    now = {**THEN, "threads": "1", "rich": "16"}
    assert differences(THEN, now) == ["threads: 2; now 1", "rich: 15; now 16"]


def test_packages_that_are_new_or_gone_are_named() -> None:
    gone = {what: value for what, value in THEN.items() if what != "rich"}
    assert differences(THEN, gone) == ["rich: 15; now none"]
    assert differences(gone, THEN) == ["rich: none; now 15"]


def test_a_fingerprint_tells_of_the_code_where_the_libraries_are_the_same_or_git_does() -> None:
    assert differences(THEN, {**THEN, CODE: "z"}) == [f"{CODE}: a; now z"]
    assert differences(THEN, {**THEN, CODE: "z", "torch": "3"}) == ["torch: 2.15; now 3"]
    named = {**THEN, CODE: "z (changed: fae/training/learner.py)", "torch": "3"}
    assert differences(THEN, named) == [
        f"{CODE}: a; now z (changed: fae/training/learner.py)",
        "torch: 2.15; now 3",
    ]


def test_of_many_packages_some_are_named() -> None:
    found = differences(THEN, {**THEN, **{f"package{n}": "1" for n in range(100)}})
    assert len(found) == 16
    assert found[-1] == "and 85 more packages"


def test_what_a_store_says_stays_in_a_line() -> None:
    (found,) = differences(THEN, {**THEN, "commit": "\x1b[2J\n" + "x" * 1000})
    assert found.startswith(r"commit: b; now \x1b[2J\nxxx")
    assert found.isprintable()
    assert len(found) < 250


def test_changed_files_are_named() -> None:
    assert changes("") == "none"
    assert changes(DIFF).startswith("fae/new.py, fae/renamed.py, fae/gone.py and 1 more (digest ")
    assert changes(DIFF) != changes(DIFF + "+another line\n")
    assert CHANGES == "uncommitted changes"


def test_the_files_that_count_are_those_of_the_chosen_variants() -> None:
    names = {str(file.relative_to(PACKAGE)) for file in files(training())}
    assert {path for path in SHARED if "*" not in path} <= names
    assert {"models/layers/loss.py", "models/dense/network.py", "training/optimizers.py"} <= names
    assert "data/synthetic/images.py" in names
    assert not {"models/tied/network.py", "data/digits/images.py", "runs/run.py"} & names


def test_git_names_what_was_changed_since_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    ours = [tmp_path / name for name in ("same.py", "committed.py", "edited.py")]
    for file in ours:
        file.write_text("old\n")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD")
    ours[1].write_text("new\n")
    git("commit", "-aqm", "second")
    ours[2].write_text("new\n")
    assert provenance.changed_since(first, ours) == ["committed.py", "edited.py"]
    assert provenance.changed_since(first, [ours[0], Path("/elsewhere.py")]) == []
    for unknown in ("0" * 40, "unknown", "--output=/tmp/x", "HEAD"):
        assert provenance.changed_since(unknown, ours) == []
