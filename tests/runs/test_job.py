"""Jobs: their labels, and the group that they belong to."""

from pathlib import Path

import pytest

from fae.errors import ConfigError
from fae.runs.job import Job, JobGroup


def test_a_group_is_read_as_it_was_written(tmp_path: Path) -> None:
    group = JobGroup("parent", 12.5, [1.0, 3.0], ["a", "b"], first=4, in_turn=False, kind="study")
    group.write(tmp_path)
    assert JobGroup.read(tmp_path) == group


def test_a_sweep_without_a_group_is_another_sweepers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hydra/sweeper: must be fae"):
        JobGroup.read(tmp_path)


def test_the_share_of_work_counts_jobs_by_their_size() -> None:
    group = JobGroup("parent", 0.0, [1.0, 3.0])
    assert group.share_done(0, 0.5) == 0.125
    assert group.share_done(1, 0.0) == 0.25
    assert group.share_done(1, 1.0) == 1.0


def test_jobs_take_the_colours_of_their_group_in_turn(tmp_path: Path) -> None:
    group = JobGroup("parent", 0.0, [1.0] * 3, colours=["#000000", "#ffffff"])
    jobs = [Job("name", tmp_path, "", group, number) for number in range(3)]
    assert [job.colour for job in jobs] == ["#000000", "#ffffff", "#000000"]
    assert Job("name", tmp_path, "", JobGroup("parent", 0.0, [1.0])).colour is None
    assert Job("name", tmp_path, "").colour is None


def test_a_label_counts_jobs_from_1(tmp_path: Path) -> None:
    assert Job("name", tmp_path, "").label == "name"
    group = JobGroup("parent", 0.0, [1.0, 3.0])
    assert Job("name", tmp_path, "", group, 1).label == "[2/2] name"
