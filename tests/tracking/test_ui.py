"""What to do to see a run: the command that starts the UI, and its page."""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fae.tracking.address import of_file
from fae.tracking.ui import links, run_page

MODEL_TRAINING = "workflowType=machine_learning"
"""Without it MLflow opens pages for language models."""


def test_a_server_needs_no_start() -> None:
    archive: Any = SimpleNamespace(uri="https://host/path/", experiment_id="7")
    page = run_page(archive, "0123")
    assert page == f"https://host/path/#/experiments/7/runs/0123?{MODEL_TRAINING}"
    assert links(archive.uri, page) == [("open", page)]


@pytest.mark.parametrize("name", ["mlflow.db", "other.db", "it's a b?.db"])
def test_a_file_is_shown_by_a_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = of_file(tmp_path / name)
    archive: Any = SimpleNamespace(uri=uri, experiment_id="1")
    page = run_page(archive, "0123")
    assert page == f"http://127.0.0.1:5000/#/experiments/1/runs/0123?{MODEL_TRAINING}"
    (_, command), (_, address) = links(uri, page)
    store = [] if name == "mlflow.db" else ["--backend-store-uri", uri]
    assert shlex.split(command) == ["mlflow", "ui", *store]
    assert address == page
