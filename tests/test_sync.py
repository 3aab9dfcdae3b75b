"""What is delivered and closed, and what is left alone."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from dying import begun, died

from fae import sync
from fae.cli.compose import compose
from fae.config import TrackingConfig
from fae.errors import StoreError
from fae.tracking.archive import Archive
from fae.tracking.folder import Link
from fae.tracking.journal import Journal
from fae.tracking.recovery import count_unsent


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingConfig:
    return compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'").tracking


def test_a_folder_that_leads_to_no_store_is_passed_over(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(tmp_path).append({"tags": {"a": "b"}})
    sync.sync([tmp_path], tracking)
    assert capsys.readouterr().out.startswith("nothing to upload")


def test_a_run_that_goes_on_keeps_nothing_else_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = died(tmp_path / "dies", tracking)
    with begun(tmp_path / "stays", tracking) as process:
        assert process.stdout is not None
        alive = process.stdout.readline().strip()
        sync.sync([tmp_path], tracking)
        assert count_unsent(tmp_path / "stays") == 1
        archive = Archive(tracking)
        assert [archive.run(run).status for run in (dead, alive)] == ["KILLED", "RUNNING"]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'dies'}: entries uploaded: 1",
        f"dies ({dead[:8]}): crashed, now closed",
    ]


def test_runs_are_closed_in_the_experiment_that_their_folder_names(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    other = replace(tracking, experiment="another")
    dead = died(tmp_path / "dies", other)
    sync.sync([tmp_path], tracking)
    assert Archive(other).run(dead).status == "KILLED"


def test_what_cannot_be_delivered_keeps_nothing_else_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    """A run of another store, and damage of each kind."""
    dead = died(tmp_path / "dies", tracking)
    damaged = {name: tmp_path / name for name in ("empty", "null", "binary", "piped", "far")}
    for folder in damaged.values():
        folder.mkdir()
        Link("id", folder.name, "http://127.0.0.1:9", "fae", "").write(folder)
        Journal(folder).append({"tags": {"a": "b"}})
    (damaged["empty"] / "run.json").write_text("")
    (damaged["null"] / "run.json").write_text(
        (damaged["null"] / "run.json").read_text().replace('"http://127.0.0.1:9"', "null")
    )
    (damaged["binary"] / "run.json").write_bytes(b"\xff\x00")
    (damaged["piped"] / "journal.jsonl").unlink()
    os.mkfifo(damaged["piped"] / "journal.jsonl")
    with pytest.raises(StoreError) as raised:
        sync.sync([tmp_path], tracking)
    told = dict(line.split(": ", 1) for line in str(raised.value).splitlines())
    assert told == {
        str(damaged["empty"]): f"{damaged['empty']}/run.json: damaged, or not written by fae",
        str(damaged["null"]): f"{damaged['null']}/run.json: damaged, or not written by fae (store)",
        str(damaged["binary"]): f"{damaged['binary']}/run.json: damaged, or not written by fae",
        str(damaged["piped"]): f"[Errno 22] not a regular file: '{damaged['piped']}/journal.jsonl'",
        str(damaged["far"]): f"tracking.uri={tracking.uri}: does not have run id (far); its folder "
        "names tracking.uri=http://127.0.0.1:9",
    }
    run = Archive(tracking).run(dead)
    assert (run.status, run.metrics) == ("KILLED", {"val/mse": 0.5})


def test_overrides_and_folders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hidden=64 seed=0").mkdir()
    words = ["hidden=64 seed=0", NO_LOCAL, "tracking.experiment=another"]
    monkeypatch.setattr(sys, "argv", ["fae.sync", *words])
    asked: list[tuple[list[Path], str]] = []
    monkeypatch.setattr("fae.cli.command.run", lambda entry: entry())
    monkeypatch.setattr(sync, "sync", lambda *a: asked.append((a[0], a[1].experiment)))
    sync.main()
    assert asked == [([Path("hidden=64 seed=0")], "another")]
