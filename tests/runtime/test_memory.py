"""Memory: what is available, and what a control group allows of it."""

from pathlib import Path

import psutil
import pytest

from fae.runtime import memory

GROUP = "0::/system.slice/job_8/step_0\n"


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's control groups, of which this process is in one."""
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"1:name=systemd:/\n{GROUP}")
    (tmp_path / "sys/fs/cgroup/system.slice/job_8/step_0").mkdir(parents=True)
    return tmp_path / "sys/fs/cgroup"


def test_without_limits_it_is_what_the_system_says(cgroup: Path) -> None:
    (cgroup / "system.slice/job_8/memory.max").write_text("max\n")
    assert 0 < memory.available() <= psutil.virtual_memory().total


@pytest.mark.parametrize("place", ["memory.max", "system.slice/job_8/memory.max"])
def test_the_least_limit_counts(cgroup: Path, place: str) -> None:
    (cgroup / "system.slice/memory.max").write_text("3000000\n")
    (cgroup / place).write_text("2000000\n")
    assert memory.available() == 2_000_000


def test_a_system_without_control_groups_has_no_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    assert memory.available() > 2_000_000
