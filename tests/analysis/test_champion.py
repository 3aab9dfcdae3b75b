"""The champion of a registered model, in a real store, and what is served of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from conftest import NO_LOCAL
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import fae
from fae.analysis.champion import check_comparable, register_best
from fae.analysis.named import described
from fae.config import Config
from fae.errors import ConfigError, UndeliveredError
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive
from fae.tracking.registry import RegisteredModel
from fae.tracking.stored_run import StoredRun

Tiny = Callable[..., Config]
PIXELS = 64
EXPERIMENT = "champions"


@pytest.fixture(scope="module")
def archive(store_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An experiment with a network of 2 hidden units and a better one of 16."""
    for hidden in (2, 16):
        config = fae.compose(
            *(NO_LOCAL, "experiment=smoke", f"tracking.uri='{store_uri}'"),
            *(f"tracking.experiment={EXPERIMENT}", f"hidden={hidden}", "lr=0.5"),
        )
        fae.fit(config, tmp_path_factory.mktemp("run"))
    return Archive(config.tracking)


@pytest.fixture
def worse(archive: Archive) -> StoredRun:
    return archive.runs("run")[0]


@pytest.fixture
def better(archive: Archive) -> StoredRun:
    return archive.runs("run")[1]


@pytest.fixture
def name(tmp_path: Path) -> str:
    """Of a registered model of the test's own, with characters that a name may have."""
    return f"{tmp_path.name} it's 100% new"


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found = [v for v in client.search_model_versions() if v.name == name]
    return sorted(found, key=lambda version: int(version.version))


def champion(client: MlflowClient, name: str) -> str:
    return str(client.get_model_version_by_alias(name, "champion").version)


def error(run: StoredRun) -> float:
    return run.metrics["val/mse"]


def test_the_best_of_several_runs_becomes_the_champion_with_its_origin(
    archive: Archive, worse: StoredRun, better: StoredRun, client: MlflowClient, name: str
) -> None:
    said = register_best(name, [better, worse], archive, verdict="2 reproduced")
    assert said == (
        f"registered {described(better)} as {name} version 1, its champion: "
        f"validation error {error(better):.4f}"
    )
    (version,) = versions(client, name)
    assert champion(client, name) == "1"
    assert version.run_id == better.id
    assert version.tags == {
        "fae.val_mse": repr(error(better)),
        "fae.split": "data.train=2000 data.val=500 split_seed=0",
        "fae.verdict": "2 reproduced",
        **{
            tag: better.tags[tag]
            for tag in ("fae.data_digest", "fae.command", "fae.fingerprint", "fae.commit")
        },
    }


def test_a_version_is_the_runs_model_with_a_signature(
    archive: Archive, better: StoredRun, client: MlflowClient, name: str
) -> None:
    """And with an example; no other file of it differs."""
    register_best(name, [better], archive)
    assert f"{versions(client, name)[0].source}".endswith(f"{better.id}/artifacts/registered")
    registered = folder(client, f"runs:/{better.id}/registered")
    original = folder(client, f"runs:/{better.id}/model")
    assert registered.keys() == original.keys()
    assert [path for path in original if registered[path] != original[path]] == ["MLmodel"]
    mlflow.set_tracking_uri(archive.uri)
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    for schema in (model.metadata.signature.inputs, model.metadata.signature.outputs):
        (images,) = schema.inputs
        assert (images.type, images.shape) == (np.float32, (-1, PIXELS))
    assert model.input_example.shape == (10, PIXELS)
    images = torch.rand(3, PIXELS)
    with torch.inference_mode():
        expected = TrainedRun.of(better, archive).network(images).numpy()
    np.testing.assert_allclose(model.predict(images.numpy()), expected, rtol=0, atol=1e-6)


def folder(client: MlflowClient, address: str) -> dict[str, bytes]:
    place = Path(mlflow.artifacts.download_artifacts(address, tracking_uri=client.tracking_uri))
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def test_a_network_is_registered_only_if_it_is_better_than_the_champion(
    archive: Archive, worse: StoredRun, better: StoredRun, client: MlflowClient, name: str
) -> None:
    register_best(name, [worse], archive)
    said = register_best(name, [better], archive)
    assert said == (
        f"registered {described(better)} as {name} version 2, now its champion: validation error "
        f"{error(better):.4f}, before {error(worse):.4f} (version 1)"
    )
    assert champion(client, name) == "2"
    said = register_best(name, [worse], archive)
    assert said == (
        f"the champion of {name} stays version 2: validation error {error(better):.4f}; the best "
        f"of this command, {described(worse)}, has {error(worse):.4f}"
    )
    said = register_best(name, [worse, better], archive)
    assert said == (
        f"{described(better)} is the champion of {name} already, version 2: validation error "
        f"{error(better):.4f}"
    )
    assert champion(client, name) == "2"
    assert len(versions(client, name)) == 2


def test_a_version_that_a_run_has_already_is_made_the_champion_again(
    archive: Archive, worse: StoredRun, better: StoredRun, client: MlflowClient, name: str
) -> None:
    for run in (worse, better):
        register_best(name, [run], archive)
    client.set_registered_model_alias(name, "champion", "1")
    assert "as " + name + " version 2, now its champion" in register_best(name, [better], archive)
    assert champion(client, name) == "2"
    assert len(versions(client, name)) == 2


def test_a_version_that_somebody_else_made_of_a_run_is_not_its_network(
    archive: Archive, better: StoredRun, client: MlflowClient, name: str
) -> None:
    client.create_registered_model(name)
    client.create_model_version(name, "s3://elsewhere/model", better.id)
    register_best(name, [better], archive)
    assert champion(client, name) == "2"
    assert f"{versions(client, name)[1].source}".endswith(f"{better.id}/artifacts/registered")


def test_processes_that_register_a_run_at_the_same_time_make_one_version(
    archive: Archive,
    better: StoredRun,
    client: MlflowClient,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = RegisteredModel._make

    def after_another(model: RegisteredModel, *given: object) -> object:
        make(model, *given)  # type: ignore[arg-type]
        return make(model, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(RegisteredModel, "_make", after_another)
    assert f"as {name} version 1, its champion" in register_best(name, [better], archive)
    assert champion(client, name) == "1"
    assert len(versions(client, name)) == 1


@pytest.mark.parametrize("other_is_first", [True, False])
def test_of_commands_that_look_at_the_same_time_the_better_network_is_the_champion_in_the_end(
    archive: Archive,
    worse: StoredRun,
    better: StoredRun,
    client: MlflowClient,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    other_is_first: bool,
) -> None:
    """Both find no champion; the other one registers before or after this one looks again."""
    add = RegisteredModel.add

    def beside_another(model: RegisteredModel, *given: Any) -> object:
        monkeypatch.undo()
        if other_is_first:
            register_best(name, [better], archive)
        own = add(model, *given)
        if not other_is_first:
            monkeypatch.setattr(RegisteredModel, "champion", lambda _: None)
            register_best(name, [better], archive)
            monkeypatch.undo()
        return own

    monkeypatch.setattr(RegisteredModel, "add", beside_another)
    said = register_best(name, [worse], archive)
    other, own = ("1", "2") if other_is_first else ("2", "1")
    assert said == (
        f"registered {described(worse)} as {name} version {own}: validation error "
        f"{error(worse):.4f}; version {other}, which another command made meanwhile, has "
        f"{error(better):.4f} and is its champion"
    )
    assert champion(client, name) == other
    assert len(versions(client, name)) == 2


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("fae.split", "data.train=1 data.val=1", "was validated on other images, so that errors"),
        ("fae.data_digest", "0" * 16, "was validated on other images, so that errors"),
        ("fae.val_mse", "small", r"has no validation error \(tag fae.val_mse\)"),
        ("fae.val_mse", "nan", r"has no validation error \(tag fae.val_mse\)"),
    ],
)
def test_a_champion_that_cannot_be_compared_stays(
    archive: Archive,
    worse: StoredRun,
    better: StoredRun,
    client: MlflowClient,
    name: str,
    tag: str,
    value: str,
    reason: str,
) -> None:
    register_best(name, [worse], archive)
    client.set_model_version_tag(name, "1", tag, value)
    said = register_best(name, [better], archive)
    assert said.startswith(f"nothing is registered as {name}: its champion, version 1, ")
    assert re.search(reason, said)
    assert said.endswith(f"; tracking.register=ANOTHER_NAME registers {described(better)}")
    assert champion(client, name) == "1"
    assert len(versions(client, name)) == 1


def test_runs_that_did_not_finish_do_not_count(
    archive: Archive, worse: StoredRun, better: StoredRun, name: str
) -> None:
    failed, wrong = replace(better, status="FAILED"), replace(better, metrics={"val/mse": 0.0})
    said = register_best(name, [failed, wrong], archive)
    assert said == f"nothing is registered as {name}: no run has finished"
    assert f"registered {described(worse)} as" in register_best(name, [failed, worse], archive)


def test_a_registry_that_does_not_accept_it_is_a_problem_of_the_store(
    archive: Archive, better: StoredRun, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(MlflowClient, "create_model_version", refuse)
    with pytest.raises(UndeliveredError) as raised:
        register_best(name, [better], archive)
    assert raised.value.exit_code == 3
    assert str(raised.value).startswith(
        f"tracking.register={name}: nothing is registered, everything else is stored; "
    )
    assert str(raised.value).endswith("its registry cannot be written (not yours)")


def test_a_sweep_over_several_data_sets_has_no_best_network(tiny: Tiny) -> None:
    check_comparable("x", [tiny(), tiny("hidden=8", "seed=1", "lr=0.1")])
    for other in ("data=digits", "data.split_seed=1", "trainer.limit_batches=1"):
        with pytest.raises(ConfigError, match=r"^tracking.register=x: .* different images"):
            check_comparable("x", [tiny(), tiny(other)])


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "..", ".a", "a?b", "a;b", " a", "a "])
def test_a_name_that_a_registry_would_refuse_is_refused(tiny: Tiny, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^tracking.register=.*: must have no slash"):
        tiny(f'tracking.register="{name}"')


def test_a_name_may_have_all_other_characters(tiny: Tiny) -> None:
    for name in ("fashion", "the paper's, 100 % [2]", "it.er-1_x#"):
        assert tiny(f'tracking.register="{name}"').tracking.register == name
    assert tiny().tracking.register is None
