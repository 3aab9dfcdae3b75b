"""Beginning a run: new, resumed or not at all, while no other process begins one."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from mlflow import MlflowClient

from fae.config import Config
from fae.runs.begin import begin
from fae.runs.job import Job, JobGroup
from fae.runs.task import Known, State
from fae.tracking.archive import Archive
from fae.tracking.claim import settings
from fae.tracking.lock import LockedError, run_lock
from fae.tracking.store import Store

Tiny = Callable[..., Config]


def interrupted(store: Store, job: Job) -> str:
    """The id of a run that was interrupted."""
    ids: list[str] = []
    with (
        suppress(KeyboardInterrupt),
        begin(store, job, Known, kind="run", subject="", tags={}) as (run, _),
    ):
        assert run
        ids.append(run.id)
        raise KeyboardInterrupt
    return ids[0]


def test_a_new_run_is_in_the_folder_and_the_group_of_its_job(
    tiny: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    """Which is made where it is missing."""
    folder, group = tmp_path / "a" / "b", JobGroup("parent", 0, [1])
    store, job = Store(tiny().tracking), Job("job", folder, "command", group)
    with begin(store, job, Known, kind="run", subject="", tags={"a": "b"}, parameters={"c": 1}) as (
        run,
        known,
    ):
        assert run
        assert known.state == State.NEW
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "job")
    assert settings(stored.data.params) == {"c": "1"}
    expected = {"a": "b", "fae.folder": str(folder), "mlflow.parentRunId": "parent"}
    assert expected.items() <= stored.data.tags.items()


def test_a_resumed_run_stays_in_its_own_folder(tiny: Tiny, tmp_path: Path) -> None:
    store, archive = Store(tiny().tracking), Archive(tiny().tracking)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    run_id = interrupted(store, Job("job", first, ""))
    known = Known(state=State.RESUMABLE, run=archive.run(run_id), folder=first)
    with begin(store, Job("job", second, ""), lambda: known, kind="run", subject="", tags={}) as (
        run,
        found,
    ):
        assert run
        assert found is known
        assert (run.id, run.folder) == (run_id, first)
    assert archive.run(run_id).status == "FINISHED"


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.RUNNING])
def test_nothing_begins_where_there_is_nothing_to_run(
    tiny: Tiny, tmp_path: Path, state: State
) -> None:
    store, job = Store(tiny().tracking), Job("job", tmp_path / "none", "")
    with begin(store, job, lambda: Known(state=state), kind="run", subject="", tags={}) as (
        run,
        known,
    ):
        assert (run, known) == (None, Known(state=state))
    assert [*tmp_path.iterdir()] == []


def test_no_other_process_begins_a_run_meanwhile(tiny: Tiny, tmp_path: Path) -> None:
    """From the look at the store until the run is in it; then others may."""
    store = Store(tiny().tracking)
    file = Path(store.uri.removeprefix("sqlite:///")).with_name(".mlflow.db.claim")

    def is_free() -> bool:
        with suppress(Timeout), FileLock(file, timeout=0, is_singleton=False):
            return True
        return False

    def known() -> Known:
        assert not is_free()
        return Known()

    with begin(store, Job("job", tmp_path, ""), known, kind="run", subject="", tags={}):
        assert is_free()


def test_a_run_that_another_process_is_about_to_resume_is_looked_up_again(
    tiny: Tiny, tmp_path: Path
) -> None:
    """It has locked the folder, and is not RUNNING yet."""
    store, archive = Store(tiny().tracking), Archive(tiny().tracking)
    first = Job("job", tmp_path / "first", "")
    left = archive.run(interrupted(store, first))
    resumable = Known(state=State.RESUMABLE, run=left, folder=first.folder)
    states = [resumable, Known(state=State.RUNNING, run=left)]
    with (
        run_lock(first.folder),
        begin(store, first, lambda: states.pop(0), kind="run", subject="", tags={}) as (run, known),
    ):
        assert (run, known.state, states) == (None, State.RUNNING, [])


def test_a_folder_that_stays_locked_is_named(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fae.runs.begin.TAKING_S", 0.0)
    store, job = Store(tiny().tracking), Job("job", tmp_path, "")
    begun = begin(store, job, Known, kind="run", subject="", tags={})
    with (
        run_lock(tmp_path),
        pytest.raises(LockedError, match="this run is running in another process"),
        begun,
    ):
        pass
