"""Names, commands, and a sweep's share of work."""

from pathlib import Path

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.runs.job import Job, Origin, Schedule, command_line, run_name, sweep_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "hidden=64 seed=0"),
        (["hidden=128"], "hidden=128 seed=0"),
        (["seed=3", "hidden=128"], "hidden=128 seed=3"),
        (["optimizer=adam", "lr=0.001", "seed=1"], "hidden=64 optimizer=adam lr=0.001 seed=1"),
        (["data.root=/x", "tracking.uri=http://x", "hydra.run.dir=y"], "hidden=64 seed=0"),
        (["seed=4", "repeats=1"], "hidden=64 seed=4"),
        (["data=synthetic"], "hidden=64 data=synthetic seed=0"),
    ],
)
def test_a_name_tells_what_varies(overrides: list[str], name: str) -> None:
    config = compose(NO_LOCAL, *[o for o in overrides if not o.startswith("hydra")])
    assert run_name(config, overrides) == name


def test_a_sweep_is_named_by_what_was_asked_for() -> None:
    assert (
        sweep_name(["hidden=64,128", "seed=0,1", "local=none", "report.tolerance=0.1"])
        == "hidden=64,128 seed=0,1"
    )
    assert sweep_name([]) == "sweep"


def test_a_command_can_be_pasted_into_a_shell() -> None:
    assert command_line(["hidden=64"]) == "python -m fae.train hidden=64"
    assert command_line(["lr=1,2"], "-m") == "python -m fae.train -m lr=1,2"
    assert command_line(["data.root=a b"]) == "python -m fae.train 'data.root=a b'"


def test_a_schedule_survives_its_file(tmp_path: Path) -> None:
    schedule = Schedule("parent", 12.5, [1.0, 3.0], [None, Origin("id", "folder")])
    schedule.write(tmp_path)
    assert Schedule.read(tmp_path) == schedule


def test_a_job_goes_on_in_the_folder_of_its_run(tmp_path: Path) -> None:
    job = Job("name", tmp_path, "command").going_on_with(Origin("id", "/elsewhere"))
    assert job == Job("name", Path("/elsewhere"), "command", carries_on="id")


def test_the_share_of_work_counts_jobs_by_their_size() -> None:
    schedule = Schedule("parent", 0.0, [1.0, 3.0], [None, None])
    assert schedule.share_done(0, 0.5) == 0.125
    assert schedule.share_done(1, 0.0) == 0.25
    assert schedule.share_done(1, 1.0) == 1.0


def test_a_label_counts_jobs_from_1(tmp_path: Path) -> None:
    assert Job("name", tmp_path, "").label == "name"
    schedule = Schedule("parent", 0.0, [1.0, 3.0], [None, None])
    assert Job("name", tmp_path, "", schedule, 1).label == "[2/2] name"
