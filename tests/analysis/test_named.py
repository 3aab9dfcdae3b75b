"""Which run a name means, in a real store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fae.analysis.named import named_run
from fae.config import Config
from fae.errors import ConfigError, StoreError
from fae.tracking.archive import Archive
from fae.tracking.store import Store

Tiny = Callable[..., Config]
Add = Callable[..., str]


@pytest.fixture
def store(tiny: Tiny, tmp_path: Path) -> Store:
    """The tests' store, in it an experiment of the test's own."""
    return Store(tiny(f"tracking.experiment={tmp_path.name}").tracking)


@pytest.fixture
def archive(store: Store) -> Archive:
    return Archive(store.config)


@pytest.fixture
def add(store: Store, tmp_path: Path) -> Add:
    """Stores a run with a validation error after each epoch; returns its id."""

    def run(*errors: float, digest: str = "a", kind: str = "run", **settings: int) -> str:
        name = f"run-{len([*tmp_path.iterdir()])}"
        parameters = {"data.val": 10, **{k.replace("__", "."): v for k, v in settings.items()}}
        tags = {"fae.data_digest": digest}
        about = {"kind": kind, "folder": tmp_path / name, "command": "", "tags": tags}
        with store.run(name, parameters=parameters, **about) as opened:  # type: ignore[arg-type]
            for epoch, error in enumerate(errors, 1):
                opened.log_metrics({"train/mse": error, "val/mse": error}, step=epoch)
        return opened.id

    return run


def test_latest_finished_last_and_best_has_the_lowest_validation_error(
    add: Add, archive: Archive
) -> None:
    add(0.5)
    best = add(0.4, 0.2)
    latest = add(0.1, 0.3)
    add(0.01, kind="trial")
    assert named_run("latest", archive).id == latest
    assert named_run("best", archive).id == best
    assert named_run(best[:12], archive).id == best


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("sweep", "a sweep"),
        ("study", "a study of a search"),
        ("trial", "a trial of a search"),
        ("reproduction", "a reproduction"),
    ],
)
def test_what_is_no_run_is_called_what_it_is(
    add: Add, archive: Archive, kind: str, named: str
) -> None:
    add(0.1)
    other = add(0.2, kind=kind)
    with pytest.raises(ConfigError, match=f"RUN={other[:12]}: is {named}; give the id of a run"):
        named_run(other[:12], archive)


def test_of_a_run_that_stopped_early_the_stored_weights_count(add: Add, archive: Archive) -> None:
    best = add(0.1, 0.3, trainer__early_stopping=1)
    add(0.2)
    assert named_run("best", archive).id == best


@pytest.mark.parametrize(
    "other", [{"digest": "b"}, {"split_seed": 1}, {"trainer__limit_batches": 1}], ids=str
)
def test_best_compares_what_was_validated_on_the_images_of_the_latest(
    add: Add, archive: Archive, other: dict[str, object]
) -> None:
    add(0.1, **other)
    latest = add(0.2)
    assert named_run("best", archive).id == latest


def test_a_run_is_named_by_a_version_of_a_registered_model(
    add: Add, archive: Archive, client: MlflowClient, tmp_path: Path
) -> None:
    first, second = add(0.5), add(0.4)
    name = tmp_path.name
    client.create_registered_model(name)
    for run_id in (first, second):
        client.create_model_version(name, tmp_path.as_uri(), run_id)
    client.set_registered_model_alias(name, "champion", "1")
    assert named_run(f"models:/{name}@champion", archive).id == first
    assert named_run(f"models:/{name}/2", archive).id == second
    for unknown in (f"models:/{name}/3", f"models:/{name}@x", f"models:/no-{name}@champion"):
        with pytest.raises(ConfigError, match=f"^{unknown}: .*not found"):
            named_run(unknown, archive)
    with pytest.raises(ConfigError, match=r"models:/x: must be models:/NAME@ALIAS or"):
        named_run("models:/x", archive)


def test_a_version_of_another_experiment_is_refused(
    archive: Archive, client: MlflowClient, tmp_path: Path
) -> None:
    client.create_registered_model(tmp_path.name)
    client.create_model_version(tmp_path.name, tmp_path.as_uri(), "f" * 32)
    with pytest.raises(ConfigError, match=r"its run \(ffffffff\) is not in this experiment"):
        named_run(f"models:/{tmp_path.name}/1", archive)


def test_a_registry_that_cannot_be_read_is_a_problem_of_the_store(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(MlflowClient, "get_model_version", fail)
    with pytest.raises(StoreError, match=r"cannot look up models:/a/1 \(away\)"):
        named_run("models:/a/1", archive)


def test_there_must_be_one_such_run(add: Add, archive: Archive) -> None:
    for name in ("latest", "best"):
        with pytest.raises(ConfigError, match="no run has finished yet"):
            named_run(name, archive)
    add(0.5)
    with pytest.raises(ConfigError, match="RUN=zz: no runs have ids that begin so"):
        named_run("zz", archive)
