"""Beginning a run: new, resumed or not at all, while no other process begins one."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytorch_lightning as pl
from filelock import FileLock, Timeout
from mlflow import MlflowClient

from fae.config import Config
from fae.runs.begin import begin
from fae.runs.checkpoint import Checkpoints
from fae.runs.job import Job, JobGroup
from fae.runs.run import train
from fae.runs.task import Known, State
from fae.runs.tensor_file import load
from fae.tracking.archive import Archive
from fae.tracking.checkpoints import checkpoint_path
from fae.tracking.claim import settings
from fae.tracking.folder import Link
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


def test_what_is_to_be_joined_is_not_what_is_withdrawn_next(tiny: Tiny, tmp_path: Path) -> None:
    """A run that others have just created may be withdrawn; what they decide on is waited for."""
    config = tiny(f"tracking.experiment={tmp_path.name}")
    store, archive = Store(config.tracking), Archive(config.tracking)
    client, tags = store._client, {"fae.kind": "sweep", "fae.claim": "same"}
    first, second = (
        client.create_run(store.experiment_id, tags=tags).info.run_id for _ in range(2)
    )
    looks: list[str] = []

    def known() -> Known:
        if looks:
            client.log_param(first, "fae.attempt.1", "withdrawn")
            client.log_param(second, "fae.attempt.1", "its own")
        looks.append(second if looks else first)
        return Known(state=State.RUNNING, run=archive.run(looks[-1]))

    job = Job("sweep", tmp_path / "sweep", "")
    with begin(store, job, known, kind="sweep", subject="same", tags={}) as (run, found):
        assert run is None
        assert found.run
        assert found.run.id == second
    assert looks == [first, second]


class Cut(SystemExit):
    """What a scheduler's signal is to a test."""


def train_until(
    epoch: int | None, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Train with a store that counts as a server; the run's id.

    Args:
        epoch: after which training is interrupted.
    """
    whole = Checkpoints.on_train_epoch_end

    def save(callback: Checkpoints, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        whole(callback, trainer, module)
        if trainer.current_epoch + 1 == epoch:
            raise Cut

    with monkeypatch.context() as patched, suppress(Cut):
        patched.setattr("fae.tracking.store.file_of", lambda _: None)
        patched.setattr(Checkpoints, "on_train_epoch_end", save)
        train(config, Job("job", folder, ""))
    return Link.read(folder).run_id  # type: ignore[union-attr]


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("harm", [False, True])
def test_a_run_is_resumed_without_its_folder_from_what_the_store_has(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    harm: bool,
) -> None:
    """With the bits of an undisturbed run, and each metric once per epoch.

    It has a checkpoint of epoch 2 there, and metrics of epoch 3; with ``harm`` it starts over.
    """

    def config(*overrides: str) -> Config:
        return tiny("epochs=4", f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'", *overrides)

    client = MlflowClient(config().tracking.uri)
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    run_id = train_until(2, config(), first, monkeypatch)
    train_until(3, config("tracking.checkpoint_s=null"), first, monkeypatch)
    assert client.get_run(run_id).data.tags["fae.checkpoint"] == "2 a"
    (weights,) = (tmp_path / "mlruns").rglob("checkpoint/a/*.safetensors")
    if harm:
        weights.write_bytes(weights.read_bytes()[:-1])
    first.rename(tmp_path / "gone")
    assert train_until(None, config(), second, monkeypatch) == run_id
    assert ("epoch 2 cannot be used" in capsys.readouterr().out) == harm
    undisturbed = train_until(None, config("sweep.rerun=true"), other, monkeypatch)
    ours, theirs = client.get_run(run_id), client.get_run(undisturbed)
    assert ours.info.status == "FINISHED"
    assert not weights.exists()
    for name in ("train/loss", "train/mse", "val/mse", "test/mse", "wall_clock/epoch_s"):
        points, expected = (
            [(point.step, point.value) for point in client.get_metric_history(run, name)]
            for run in (run_id, undisturbed)
        )
        if "wall_clock" in name:
            points, expected = ([(step, 0.0) for step, _ in found] for found in (points, expected))
        assert points == expected
    assert theirs.data.metrics.keys() == ours.data.metrics.keys()
    assert last_weights(second) == last_weights(other)


def last_weights(folder: Path) -> bytes:
    """Those of the last checkpoint of a run of four epochs."""
    state = load(checkpoint_path(folder, 4).read_bytes())["state_dict"]
    return b"".join(tensor.numpy().tobytes() for tensor in state.values())


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
