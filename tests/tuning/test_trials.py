"""What becomes of a trial that was interrupted."""

from pathlib import Path
from typing import cast

import pytest

from fae.runs.job import Job, JobGroup
from fae.runs.task import Known, State
from fae.tracking.archive import Archive
from fae.tracking.folder import Link
from fae.tracking.stored_run import StoredRun
from fae.tuning.trials import _known


class Stored:
    """What a trial asks of an archive, in memory."""

    def __init__(self, *runs: StoredRun) -> None:
        self.stored = [*runs]

    def runs(self, *_: object, **__: object) -> list[StoredRun]:
        return self.stored


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("tag", ["3 a", ""])
def test_a_trial_is_resumed_from_its_folder_or_from_the_store(
    tmp_path: Path, folder: bool, tag: str
) -> None:
    tags = {"fae.folder": str(tmp_path), "fae.checkpoint": tag}
    run = StoredRun("1", "lr=0.1", "KILLED", 0, 1, {}, {}, tags)
    if folder:
        Link(run.id, run.name, "", "fae", "").write(tmp_path)
    job = Job(run.name, tmp_path / "other", "", JobGroup("study", 0, [1.0]))
    found = _known(job, cast("Archive", Stored(run)))
    expected = Known(state=State.RESUMABLE, run=run, folder=tmp_path if folder else None)
    assert found == (expected if folder or tag else Known())
