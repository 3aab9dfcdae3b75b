"""What is delivered and closed, and what is left alone."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from dying import begun, died

from fae import sync as command
from fae.cli.compose import compose
from fae.errors import StoreError
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.folder import Link
from fae.tracking.journal import Journal
from fae.tracking.recovery import count_unsent
from fae.tracking.sync import sync


@pytest.fixture
def tracking(tmp_path: Path, empty_store: bytes) -> TrackingConfig:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'").tracking


def test_a_folder_that_leads_to_no_store_is_passed_over(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(tmp_path).append({"tags": {"a": "b"}})
    sync([tmp_path], tracking)
    assert capsys.readouterr().out.startswith("nothing to upload")


def test_a_run_that_goes_on_keeps_nothing_else_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = died(tmp_path / "dies", tracking)
    with begun(tmp_path / "stays", tracking) as process:
        assert process.stdout is not None
        alive = process.stdout.readline().strip()
        sync([tmp_path], tracking)
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
    sync([tmp_path], tracking)
    assert Archive(other).run(dead).status == "KILLED"


def test_what_cannot_be_delivered_keeps_nothing_else_from_being_put_right(
    tmp_path: Path, tracking: TrackingConfig
) -> None:
    """A run of another store, and damage of each kind."""
    dead = died(tmp_path / "dies", tracking)
    damaged = {
        name: tmp_path / name for name in ("empty", "null", "unnamed", "binary", "piped", "far")
    }
    for folder in damaged.values():
        folder.mkdir()
        Link("id", folder.name, "http://127.0.0.1:9", "fae", "").write(folder)
        Journal(folder).append({"tags": {"a": "b"}})
    (damaged["empty"] / "run.json").write_text("")
    (damaged["null"] / "run.json").write_text(
        (damaged["null"] / "run.json").read_text().replace('"http://127.0.0.1:9"', "null")
    )
    Link("id", "unnamed", "http://127.0.0.1:9", "", "").write(damaged["unnamed"])
    (damaged["binary"] / "run.json").write_bytes(b"\xff\x00")
    (damaged["piped"] / "journal.jsonl").unlink()
    os.mkfifo(damaged["piped"] / "journal.jsonl")
    with pytest.raises(StoreError) as raised:
        sync([tmp_path], tracking)
    told = dict(line.split(": ", 1) for line in str(raised.value).splitlines())
    assert told == {
        str(damaged["empty"]): f"{damaged['empty']}/run.json: damaged, or not written by fae",
        str(damaged["null"]): f"{damaged['null']}/run.json: damaged, or not written by fae (store)",
        str(damaged["unnamed"]): f"{damaged['unnamed']}/run.json: damaged, or not written by fae "
        "(experiment)",
        str(damaged["binary"]): f"{damaged['binary']}/run.json: damaged, or not written by fae",
        str(damaged["piped"]): f"[Errno 22] not a regular file: '{damaged['piped']}/journal.jsonl'",
        str(damaged["far"]): f"tracking.uri={tracking.uri}: does not have run id (far); its folder "
        "names tracking.uri=http://127.0.0.1:9",
    }
    run = Archive(tracking).run(dead)
    assert (run.status, run.metrics) == ("KILLED", {"val/mse": 0.5})


@pytest.mark.long
def test_what_is_refused_of_a_dead_run_elsewhere_is_a_failure(
    tmp_path: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is closed all the same; of one in the given folders it is said once."""
    dead = died(tmp_path / "dies", tracking)
    Journal(tmp_path / "dies").append({"file": "../elsewhere", "bytes": 1})
    (tmp_path / "given").mkdir()
    with pytest.raises(StoreError, match=r"^run \w{8} \(dies\): damaged and lost: "):
        sync([tmp_path / "given"], tracking)
    assert Archive(tracking).run(dead).status == "KILLED"
    assert capsys.readouterr().out == f"dies ({dead[:8]}): crashed, now closed\n"

    again = died(tmp_path / "given" / "again", tracking)
    (tmp_path / "mlruns").write_text("in the way of the artifacts")
    place = tmp_path / "given" / "again" / "outbox" / "a"
    place.parent.mkdir()
    place.write_text("a")
    Journal(place.parents[1]).append({"file": "a", "bytes": 1})
    with pytest.raises(StoreError) as raised:
        sync([tmp_path / "given"], tracking)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{place.parents[1]}: tracking.uri={tracking.uri}: rejects 1 entries of")
    assert Archive(tracking).run(again).status == "KILLED"


def test_overrides_and_folders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hidden=64 seed=0").mkdir()
    words = ["hidden=64 seed=0", NO_LOCAL, "tracking.experiment=another"]
    monkeypatch.setattr(sys, "argv", ["fae.sync", *words])
    asked: list[tuple[list[Path], str]] = []
    monkeypatch.setattr("fae.cli.command.run", lambda entry, **_: entry())
    monkeypatch.setattr("fae.tracking.sync.sync", lambda *a: asked.append((a[0], a[1].experiment)))
    command.main()
    assert asked == [([Path("hidden=64 seed=0")], "another")]
