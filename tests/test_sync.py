"""What is delivered and closed, and what is left alone."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from dying import begun, died

from fae import sync
from fae.compose import compose
from fae.config import TrackingConfig
from fae.errors import StoreError
from fae.tracking import Archive, Link, undelivered
from fae.tracking.journal import Journal


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingConfig:
    return compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'").tracking


def test_a_folder_that_leads_to_no_store_is_passed_over(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(tmp_path).append({"tags": {"a": "b"}})
    sync.sync([tmp_path], tracking)
    assert capsys.readouterr().out.startswith("nothing is left to deliver")


def test_a_run_that_goes_on_keeps_nothing_else_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = died(tmp_path / "dies", tracking)
    with begun(tmp_path / "stays", tracking) as process:
        assert process.stdout is not None
        alive = process.stdout.readline().strip()
        sync.sync([tmp_path], tracking)
        assert undelivered(tmp_path / "stays") == 1
        archive = Archive(tracking)
        assert [archive.run(run).status for run in (dead, alive)] == ["KILLED", "RUNNING"]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'dies'}: entries delivered: 1",
        f"dies ({dead[:8]}): ended without a word, now closed",
    ]


def test_runs_are_closed_in_the_store_that_their_folder_names(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    other = replace(tracking, uri=f"sqlite:///{tmp_path}/other.db", experiment="another")
    dead = died(tmp_path / "dies", other)
    sync.sync([tmp_path], tracking)
    assert Archive(other).run(dead).status == "KILLED"


def test_a_store_that_is_away_does_not_keep_another_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    dead = died(tmp_path / "dies", tracking)
    (tmp_path / "far").mkdir()
    Link("id", "far", "http://127.0.0.1:9", "fae", "").write(tmp_path / "far")
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9: no MLflow server answers there"):
        sync.sync([tmp_path], tracking)
    assert Archive(tracking).run(dead).status == "KILLED"


def test_overrides_and_folders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hidden=64 seed=0").mkdir()
    words = ["hidden=64 seed=0", NO_LOCAL, "tracking.experiment=another"]
    monkeypatch.setattr(sys, "argv", ["fae.sync", *words])
    asked: list[tuple[list[Path], str]] = []
    monkeypatch.setattr("fae.command.run", lambda entry: entry())
    monkeypatch.setattr(sync, "sync", lambda *a: asked.append((a[0], a[1].experiment)))
    sync.main()
    assert asked == [([Path("hidden=64 seed=0")], "another")]
