"""Stored runs that are trained again: the same bits, or what differs."""

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import photographs
import pytest
import pytorch_lightning as pl
import yaml
from conftest import NO_LOCAL

from fae.api import load_runs
from fae.cli.compose import compose
from fae.config import Config
from fae.data.datamodule import ShuffledBatches
from fae.errors import ConfigError, DataError, Interrupted, TrainingError
from fae.runs import reproduction
from fae.runs.comparison import QUANTITIES
from fae.runs.job import Job
from fae.runs.reproduction import Original, Reproduction, original, reproduce
from fae.runs.run import fit, open_run, train
from fae.runs.stored import TrainedRun
from fae.runs.task import Known
from fae.tracking.archive import Archive, UnreadableError
from fae.tracking.stored_run import StoredRun

Composed = Callable[..., Config]
Trained = Callable[..., TrainedRun]
Found = Callable[[TrainedRun], Original]
Again = Callable[[TrainedRun], Reproduction]


@pytest.fixture(scope="module")
def composed(store_uri: str) -> Composed:
    """Composes small configurations in an experiment of their own."""
    there = f"tracking.uri='{store_uri}'", "tracking.experiment=reproduced"
    return lambda *overrides: compose(
        NO_LOCAL, "experiment=smoke", "hidden=4", "epochs=3", *there, *overrides
    )


@pytest.fixture(scope="module")
def trained(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains a run of some overrides, unless the store has it, and finds it there."""

    def make(*overrides: str) -> TrainedRun:
        config = composed(*overrides)
        result = train(config, Job("run", tmp_path_factory.mktemp("run") / "run", ""))
        return TrainedRun.find(result.run_id, Archive(config.tracking))

    return make


@pytest.fixture(scope="module")
def run(trained: Trained) -> TrainedRun:
    return trained()


@pytest.fixture
def found(composed: Composed) -> Found:
    return lambda run: original(run, composed(), None)


@pytest.fixture
def again(found: Found, tmp_path: Path) -> Again:
    return lambda run: reproduce(found(run), Job("again", tmp_path / "again", "command"))


def reproductions(run: TrainedRun) -> list[StoredRun]:
    made = run.archive.runs("reproduction")
    return [stored for stored in made if stored.tags["fae.reproduces"] == run.id]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=adam", "lr=0.5", "epochs=20", "trainer.early_stopping=1"],
        ["optimizer=adamw", "optimizer.schedule=cosine", "data.noise=0.2", "model=tied"],
        ["trainer.kernels=torch"],
        ["trainer.kernels=onednn"],
    ],
    ids=" ".join,
)
def test_a_run_is_reproduced_to_the_last_bit(
    trained: Trained, again: Again, overrides: list[str]
) -> None:
    run = trained(*overrides)
    made = again(run)
    assert (made.verdict, made.deviations, made.differences) == ("identical", [], [])
    stored = run.archive.run(made.run_id)
    assert stored.status == "FINISHED"
    assert stored.tags["fae.kind"] == "reproduction"
    assert stored.tags["fae.reproduces"] == run.id
    assert stored.tags["fae.reproduction"] == "identical"
    assert stored.tags["fae.reproduction.differences"] == "identical"
    assert stored.tags["mlflow.source.name"] == "fae.reproduce"
    assert stored.tags["fae.kernels"] == run.tags["fae.kernels"]
    assert stored.metrics["test/mse"] == run.test_mse


def test_it_counts_as_no_run(
    run: TrainedRun, again: Again, composed: Composed, tmp_path: Path
) -> None:
    made = again(run)
    runs = load_runs(tracking=composed().tracking)
    assert run.id in runs.index
    assert made.run_id not in runs.index
    assert train(composed(), Job("run", tmp_path / "third", "")).run_id == run.id
    with pytest.raises(ConfigError, match="is a reproduction; give the id of a run"):
        TrainedRun.find(made.run_id, run.archive)


def test_a_run_that_started_from_another_one_is_reproduced(
    run: TrainedRun, trained: Trained, again: Again
) -> None:
    made = again(trained(f"model.weights='{run.id[:8]}'"))
    assert made.deviations == []
    assert run.archive.run(made.run_id).tags["fae.weights"] == run.id


class EndsAfterAnEpoch(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise Interrupted(signal.SIGTERM)


def test_a_run_that_was_resumed_is_reproduced(
    composed: Composed, again: Again, tmp_path: Path
) -> None:
    config, job = composed("seed=1"), Job("run", tmp_path / "run", "")
    with suppress(Interrupted), open_run(config, job, Known, kind="run", subject="") as (run, _):
        assert run
        fit(run, config, job, resumed=False, started=0.0, callbacks=[EndsAfterAnEpoch()])
    resumed = TrainedRun.find(train(config, job).run_id, Archive(config.tracking))
    assert run
    assert resumed.id == run.id
    assert again(resumed).deviations == []


def test_other_code_is_noticed_from_the_epoch_on_in_which_it_matters(
    run: TrainedRun, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another order of the images in the second epoch; and another fingerprint, which tells so."""
    monkeypatch.setattr(
        ShuffledBatches, "set_epoch", lambda self, epoch: setattr(self, "epoch", 5 * epoch)
    )
    monkeypatch.setattr("fae.runs.circumstances.fingerprint", lambda _: "another")
    made = again(run)
    assert made.verdict == "differs from epoch 2 on"
    assert [deviation.quantity for deviation in made.deviations] == [*QUANTITIES]
    assert all(0 < deviation.relative < 1 for deviation in made.deviations)
    (difference,) = made.differences
    fingerprint = run.tags["fae.fingerprint"]
    assert difference.startswith(f"code that trains (its fingerprint): {fingerprint}; now another")
    stored = run.archive.run(made.run_id)
    assert stored.status == "FINISHED"
    assert stored.tags["fae.reproduction"] == "differs"
    told = stored.tags["fae.reproduction.differences"]
    assert told == f"differs from epoch 2 on\n{difference}"


def test_one_that_diverges_fails(
    run: TrainedRun, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(*_: object) -> None:
        raise TrainingError("loss is nan")

    monkeypatch.setattr("fae.training.learner.Learner.training_step", diverging)
    with pytest.raises(TrainingError, match="loss is nan"):
        again(run)
    assert reproductions(run)[-1].status == "FAILED"


def test_an_interrupted_one_is_killed_and_begun_anew(
    run: TrainedRun, found: Found, again: Again, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted(signal.SIGTERM)

    with monkeypatch.context() as patched, suppress(Interrupted):
        patched.setattr(reproduction, "finish", interrupted)
        reproduce(found(run), Job("again", tmp_path / "first", ""))
    killed = reproductions(run)[-1]
    assert killed.status == "KILLED"
    assert "fae.reproduction" not in killed.tags
    second = again(run)
    assert second.run_id != killed.id
    assert second.deviations == []


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_did_not_finish_is_refused(run: TrainedRun, found: Found, status: str) -> None:
    with pytest.raises(ConfigError) as refused:
        found(replace(run, status=status))
    assert str(refused.value) == (
        f"run {run.id[:8]} (run): is {status}; only a finished run can be reproduced"
    )


@pytest.mark.parametrize("digest", ["0123456789abcdef", None])
def test_other_images_are_refused(run: TrainedRun, found: Found, digest: str | None) -> None:
    here = run.tags["fae.data_digest"]
    others = {name: tag for name, tag in run.tags.items() if name != "fae.data_digest"}
    with pytest.raises(DataError) as refused:
        found(replace(run, tags={**others, **({"fae.data_digest": digest} if digest else {})}))
    assert str(refused.value) == (
        f"run {run.id[:8]} (run): its images (digest {digest!r}) differ from those here ({here})"
    )
    assert refused.value.exit_code == 2


def test_what_the_store_has_lost_is_named_before_anything_is_computed(
    run: TrainedRun, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> bytes:
        raise FileNotFoundError("no such file")

    before = len(reproductions(run))
    monkeypatch.setattr(Archive, "model", gone)
    with pytest.raises(UnreadableError, match="its model cannot be read"):
        found(replace(run))
    assert len(reproductions(run)) == before


def test_own_images_are_found_where_the_user_says(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photographs.photographs(tmp_path / "there", 40)
    stored = f"tracking.uri='{store_uri}'", f"tracking.experiment={tmp_path.name}"
    small = "hidden=4", "epochs=1", "batch_size=8", "data.side=8"
    config = compose(NO_LOCAL, "data=folder", f"data.root='{tmp_path / 'there'}'", *stored, *small)
    result = train(config, Job("run", tmp_path / "run", ""))
    run = TrainedRun.find(result.run_id, Archive(config.tracking))
    (tmp_path / "there").rename(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user's"))
    with pytest.raises(DataError, match=r"data\.root=PATH says where they are") as refused:
        original(run, compose(NO_LOCAL, *stored), None)
    assert refused.value.exit_code == 2
    moved = original(run, compose(NO_LOCAL, *stored), tmp_path / "here")
    made = reproduce(moved, Job("again", tmp_path / "again", ""))
    assert made.deviations == []
    photographs.photographs(tmp_path / "others", 41)
    with pytest.raises(DataError, match="differ from those here"):
        original(run, compose(NO_LOCAL, *stored), tmp_path / "others")


def test_a_run_of_an_earlier_version_is_reproduced(
    run: TrainedRun, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration lacks settings that were added since, and its tags some of today's."""
    text = Archive.text

    def earlier(archive: Archive, of: StoredRun, path: str, *more: int) -> str:
        found = text(archive, of, path, *more)
        if path != "config.yaml":
            return found
        values = yaml.safe_load(found)
        del values["trainer"]["kernels"], values["trainer"]["emulate_bf16"]
        del values["data"]["noise"], values["model"]["weights"], values["model"]["initialisation"]
        return yaml.safe_dump(values)

    monkeypatch.setattr(Archive, "text", earlier)
    kept = {name: tag for name, tag in run.tags.items() if "kernels" not in name}
    made = again(replace(run, tags=kept))
    assert made.deviations == []
    assert made.differences == [f"kernels: unknown; now {run.tags['fae.kernels']}"]
