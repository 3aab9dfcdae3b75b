"""One tracked run from configuration to result: the run contract."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from conftest import NEEDS_GPU, NO_LOCAL, environment, runs
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray

from fae.api import load_model
from fae.cli.compose import compose
from fae.config import Config
from fae.data.datamodule import EvalBatches
from fae.errors import ConfigError, Interrupted, TrainingError
from fae.runs import provenance
from fae.runs.build import build
from fae.runs.diagnosis import diagnose
from fae.runs.job import Job
from fae.runs.run import Result, _panel, fit, open_run, train
from fae.runs.task import Known
from fae.runs.tensor_file import load
from fae.runtime import processor
from fae.tracking.checkpoints import checkpoint_path, saved_epochs
from fae.tracking.claim import settings

Tiny = Callable[..., Config]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def config(store_uri: str) -> Config:
    """Of the run that the tests of the contract look at; again, as other tests share the store."""
    uri = f"tracking.uri='{store_uri}'"
    given = "hidden=16", "epochs=3", "sweep.rerun=true"
    return compose(NO_LOCAL, "experiment=smoke", uri, *given)


@pytest.fixture(scope="module")
def finished(config: Config, folder: Path) -> Result:
    """One run of three epochs."""
    return train(config, Job("hidden=16 seed=0", folder, "python -m fae.train hidden=16"))


@pytest.fixture
def again(tiny: Tiny) -> Tiny:
    """Composes the smallest configuration of a run that is trained though the store has it."""
    return lambda *overrides: tiny("sweep.rerun=true", *overrides)


def images(config: Config) -> NDArray[np.float32]:
    """A test image of each class, (10, pixels)."""
    test = config.data.build().test()
    shown: NDArray[np.float32] = test[test.first_of_each_class()].as_floats().pixels.numpy()
    return shown


def epochs(client: MlflowClient, result: Result, metric: str = "val/mse") -> list[float]:
    """A metric of each epoch."""
    points = client.get_metric_history(result.run_id, metric)
    return [point.value for point in sorted(points, key=lambda point: point.step)]


@pytest.fixture
def run(client: MlflowClient, finished: Result) -> Run:
    return client.get_run(finished.run_id)


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for file in client.list_artifacts(run_id, folder):
        found |= artifacts(client, run_id, file.path) if file.is_dir else {file.path}
    return found


def test_it_ends_finished_under_its_name(run: Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "hidden=16 seed=0"


def test_parameters_are_the_settings_in_use(run: Run) -> None:
    assert settings(run.data.params) == {
        "hidden": "16",
        "seed": "0",
        "epochs": "3",
        "lr": "0.5",
        "dropout": "0.1",
        "batch_size": "100",
        "data": "synthetic",
        "data.side": "8",
        "data.train": "2000",
        "data.val": "500",
        "data.test": "500",
        "split_seed": "0",
        "model": "autoencoder",
        "hidden_activation": "relu",
        "output_activation": "identity",
        "initialisation": "uniform",
        "optimizer": "sgd",
        "schedule": "constant",
        "accelerator": "cpu",
        "precision": "32-true",
    }


@pytest.mark.parametrize("metric", ["train/mse", "val/mse", "train/loss"])
def test_metrics_of_epochs_are_stored_by_epochs_completed(
    client: MlflowClient, finished: Result, metric: str
) -> None:
    history = client.get_metric_history(finished.run_id, metric)
    assert [point.step for point in history] == [1, 2, 3]
    assert history[-1].value == finished.metrics[metric]


def test_metrics_of_the_end_are_stored_once(client: MlflowClient, finished: Result) -> None:
    for metric in ("test/mse", "weights/dead_units", "weights/count", "time/fit_s", "time/total_s"):
        (point,) = client.get_metric_history(finished.run_id, metric)
        assert point.value == finished.metrics[metric]
    assert finished.metrics["weights/count"] == 2 * 64 * 16 + 16 + 64
    assert 0 < finished.metrics["time/fit_s"] < finished.metrics["time/total_s"]


def test_artifacts_are_complete(client: MlflowClient, finished: Result) -> None:
    files = artifacts(client, finished.run_id)
    assert {
        "config.yaml",
        "requirements.txt",
        "figures/curves.png",
        "figures/reconstructions.png",
    } <= files
    assert ("uncommitted.diff" in files) == bool(provenance.uncommitted_diff())
    pictures = [
        file for file in files if file.startswith("images/reconstructions") and ".png" in file
    ]
    assert sorted(file.split("step+")[1].split("+")[0] for file in pictures) == ["0", "1", "2", "3"]


def test_the_whole_configuration_is_an_artifact(client: MlflowClient, finished: Result) -> None:
    path = client.download_artifacts(finished.run_id, "config.yaml")
    config = yaml.safe_load(Path(path).read_text())
    assert config["hidden"] == 16
    assert config["optimizer"]["momentum"] == 0.0


def test_tags_tell_where_the_numbers_come_from(run: Run, folder: Path) -> None:
    tags = run.data.tags
    assert tags["fae.kind"] == "run"
    assert tags["fae.folder"] == str(folder)
    assert tags["fae.command"] == "python -m fae.train hidden=16"
    assert tags["fae.torch"] == torch.__version__
    assert tags["fae.threads"] == str(torch.get_num_threads())
    assert tags["fae.kernels"].startswith(torch.backends.cpu.get_cpu_capability())
    assert tags["fae.dirty"] in {"true", "false"}
    assert len(tags["fae.fingerprint"]) == 16
    for tag in ("fae.commit", "fae.data_digest", "fae.device", "fae.python"):
        assert tags[tag]


def test_tags_tell_what_the_curves_say(client: MlflowClient, run: Run, finished: Result) -> None:
    names = ("train/loss", "train/mse", "val/mse")
    curves = zip(*(epochs(client, finished, name) for name in names), strict=True)
    history = [dict(zip(names, values, strict=True)) for values in curves]
    found = diagnose(history, int(finished.metrics["weights/dead_units"]))
    assert found.tags().items() <= run.data.tags.items()
    assert run.data.tags["fae.converged"] == "false"


def test_dead_units_are_counted(tiny: Tiny) -> None:
    """Units whose bias is so low that no image reaches them."""
    data, learner = build(tiny(), tiny().data.build())
    data.setup("fit")
    assert learner.dead_units(EvalBatches(data.train)) == 0
    with torch.no_grad():
        learner.network.get_parameter("encoder.bias")[1:3] = -1e6
    assert learner.dead_units(EvalBatches(data.train)) == 2


def test_the_folder_leads_to_the_run(finished: Result, folder: Path, store_uri: str) -> None:
    import json

    link = json.loads((folder / "run.json").read_text())
    assert re.fullmatch("[0-9a-f]{32}", link.pop("key"))
    assert link == {
        "run_id": finished.run_id,
        "name": "hidden=16 seed=0",
        "store": store_uri,
        "experiment": "fae",
        "command": "python -m fae.train hidden=16",
    }


def test_the_data_set_is_an_input(run: Run) -> None:
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "synthetic"
    assert data.dataset.digest == run.data.tags["fae.data_digest"]


def test_the_logged_model_has_a_name_and_the_run_s_settings_error_and_data(
    client: MlflowClient, run: Run
) -> None:
    assert run.outputs
    (output,) = run.outputs.model_outputs
    found = client.get_logged_model(output.model_id)
    assert found.name == "autoencoder-16"
    assert found.params == settings(run.data.params)
    assert found.metrics
    (error,) = found.metrics
    assert (error.key, error.value) == ("test/mse", run.data.metrics["test/mse"])
    assert (error.dataset_name, error.dataset_digest) == (
        "synthetic",
        run.data.tags["fae.data_digest"],
    )


@pytest.fixture(scope="module")
def model(finished: Result, store_uri: str) -> Any:
    """The logged model, as its users load it."""
    mlflow.set_tracking_uri(store_uri)
    return mlflow.pyfunc.load_model(f"runs:/{finished.run_id}/model")


def test_the_logged_model_reconstructs_any_batch(model: Any, config: Config, folder: Path) -> None:
    weights = last_saved(folder)["state_dict"]
    assert_close(model.predict(images(config)), through(weights, config))
    for batch in (1, 3, 200):
        assert model.predict(np.zeros((batch, 64), np.float32)).shape == (batch, 64)


def test_the_logged_model_takes_images_as_numpy_users_have_them(model: Any, config: Config) -> None:
    expected = model.predict(images(config))
    assert expected.dtype == np.float32
    whole = np.round(images(config) * 255).astype(np.uint8)
    for same in (whole, whole / 255, whole / np.float32(255), (whole / 255).tolist()):
        np.testing.assert_allclose(model.predict(same), expected, rtol=1e-5, atol=1e-6)
    squares = model.predict(whole.reshape(-1, 8, 8))
    np.testing.assert_array_equal(squares.reshape(-1, 64), model.predict(whole))
    with_channel = model.predict(whole.reshape(-1, 1, 8, 8))
    np.testing.assert_array_equal(with_channel.reshape(-1, 64), model.predict(whole))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros(64, np.float32), r"shape \(64,\): must be \(batch, 64\), .* image\[None\]"),
        (np.zeros((8, 8), np.float32), r"shape \(8, 8\): must be"),
        (np.zeros((2, 65), np.float32), r"shape \(2, 65\): must be"),
        (np.zeros((2, 64), np.int64), "type int64: must be floating point in .0, 1., or uint8"),
    ],
    ids=["one", "one square", "other pixels", "int64"],
)
def test_the_logged_model_says_what_it_takes(model: Any, images: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        model.predict(images)


@pytest.mark.long
def test_the_logged_model_needs_nothing_of_this_project(
    finished: Result, store_uri: str, tmp_path: Path
) -> None:
    code = (
        "import mlflow, numpy, sys\n"
        f"model = mlflow.pyfunc.load_model('runs:/{finished.run_id}/model')\n"
        "print(model.predict(numpy.zeros((3, 64), numpy.float32)).shape)\n"
        "assert 'fae' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(store_uri),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(3, 64)"


def test_a_run_leaves_the_process_as_it_was(again: Tiny, tmp_path: Path) -> None:
    """The next run may have another store; its configuration reads the environment."""
    config = again("epochs=1")
    for job in ("first", "second"):
        (tmp_path / job).mkdir()
    train(config, Job("first", tmp_path / "first", ""))
    before = dict(os.environ), mlflow.get_tracking_uri()
    train(config, Job("second", tmp_path / "second", ""))
    assert (dict(os.environ), mlflow.get_tracking_uri()) == before
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ


@NEEDS_GPU
@pytest.mark.parametrize(("precision", "rel"), [("32-true", 1e-3), ("bf16-mixed", 0.02)])
def test_a_gpu_comes_close_to_the_cpu_and_is_tagged(
    again: Tiny, client: MlflowClient, tmp_path: Path, precision: str, rel: float
) -> None:
    on_gpu = "trainer.accelerator=gpu", f"trainer.precision={precision}"
    cpu = train(again("dropout=0.0"), Job("cpu", tmp_path / "cpu", ""))
    gpu = train(again("dropout=0.0", *on_gpu), Job("gpu", tmp_path / "gpu", ""))
    for metric in ("train/loss", "train/mse", "val/mse", "test/mse"):
        assert gpu.metrics[metric] == pytest.approx(cpu.metrics[metric], rel=rel)
    tags = client.get_run(gpu.run_id).data.tags
    assert tags["fae.device"] == torch.cuda.get_device_name()
    assert tags["fae.kernels"] == f"CUDA {torch.version.cuda}"


@NEEDS_GPU
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gpu_gives_the_same_bits_again(again: Tiny, tmp_path: Path, precision: str) -> None:
    """Random numbers, sums and errors alike; to the last place of the numbers."""
    given = "optimizer=adam", "dropout=0.3", "trainer.early_stopping=1", "hidden=64"
    config = again(*given, "trainer.accelerator=gpu", f"trainer.precision={precision}")
    first, second = (train(config, Job(job, tmp_path / job, "")) for job in ("first", "second"))
    for metric in ("train/loss", "train/mse", "val/mse", "test/mse", "weights/dead_units"):
        assert first.metrics[metric] == second.metrics[metric]


def test_the_panel_shows_every_class_with_its_error(tiny: Tiny) -> None:
    source = tiny().data.build()
    _, learner = build(tiny(), source)
    test = source.test()
    panel = _panel(learner, test[test.first_of_each_class()].as_floats(), source)
    np.testing.assert_array_equal(panel.originals, images(tiny()))
    assert panel.classes == [f"class {label}" for label in range(10)]
    expected = ((panel.originals - panel.reconstructions) ** 2).mean(axis=1)
    np.testing.assert_allclose(panel.errors, expected, rtol=1e-5)


def last_saved(folder: Path) -> dict[str, Any]:
    """A run's last checkpoint."""
    content = checkpoint_path(folder, saved_epochs(folder)[0]).read_bytes()
    found: dict[str, Any] = load(content)
    return found


def through(weights: Mapping[str, torch.Tensor], config: Config) -> Any:
    """Test images through a network, by the formula."""
    shown = torch.from_numpy(images(config))
    codes = shown @ weights["network.encoder.weight"].T + weights["network.encoder.bias"]
    output = codes.clamp(min=0) @ weights["network.decoder.weight"].T
    return (output + weights["network.decoder.bias"]).numpy()


def predicted(result: Result, config: Config) -> Any:
    """Test images through the logged model."""
    mlflow.set_tracking_uri(config.tracking.uri)
    return mlflow.pyfunc.load_model(f"runs:/{result.run_id}/model").predict(images(config))


def assert_close(ours: Any, expected: Any) -> None:
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["tied", "variational", "convolutional"])
def test_any_network_loads_without_fae_as_with_it(again: Tiny, tmp_path: Path, family: str) -> None:
    config = again(f"model={family}", "data.noise=0.1", "epochs=1")
    result = train(config, Job(family, tmp_path, ""))
    network = load_model(result.run_id, tracking=config.tracking)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images(config)))
    assert_close(predicted(result, config), expected)


def test_the_last_epoch_is_tested_even_if_another_was_better(
    again: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    config = again("epochs=8", "optimizer=adam", "lr=0.5")
    result = train(config, Job("shaky", tmp_path, ""))
    errors = epochs(client, result)
    assert errors.index(min(errors)) < 6
    assert saved_epochs(tmp_path) == [8, 7]
    files = [path.suffix for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted(files) == [".json", ".json", ".safetensors", ".safetensors"]
    assert result.metrics["val/mse"] == errors[7]
    weights = last_saved(tmp_path)["state_dict"]
    assert_close(predicted(result, config), through(weights, config))


def test_a_folder_that_is_used_again_holds_the_new_checkpoints(again: Tiny, tmp_path: Path) -> None:
    for seed in (1, 2):
        config = again(f"seed={seed}")
        result = train(config, Job("again", tmp_path, ""))
    assert saved_epochs(tmp_path) == [2, 1]
    weights = last_saved(tmp_path)["state_dict"]
    assert_close(predicted(result, config), through(weights, config))


def test_a_run_that_diverges_is_failed_and_keeps_its_finite_metrics(
    again: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError):
        train(again("lr=1e9"), Job("diverges", tmp_path, ""))
    (run,) = runs(client, "run", tmp_path)
    assert run.info.status == "FAILED"
    assert run.data.tags["fae.error"].startswith("loss is")
    assert run.data.metrics == {}


def test_early_stopping_tests_the_best_weights(
    again: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    config = again("epochs=50", "optimizer=adam", "lr=0.5", "trainer.early_stopping=2")
    result = train(config, Job("stops", tmp_path, ""))
    errors = epochs(client, result)
    assert errors.index(min(errors)) + 1 < len(errors) < 50
    assert result.metrics["val/mse"] == min(errors)
    (stopping,) = (c for n, c in last_saved(tmp_path)["callbacks"].items() if "Stopping" in n)
    assert_close(predicted(result, config), through(stopping["best_weights"], config))
    pictures = client.list_artifacts(result.run_id, "images")
    steps = {file.path.split("step+")[1].split("+")[0] for file in pictures}
    assert str(len(errors)) in steps


def test_system_metrics_are_recorded_on_demand(
    again: Tiny, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    config = again("tracking.system_metrics=true", "epochs=1")
    result = train(config, Job("watched", tmp_path, ""))
    metrics = client.get_run(result.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in metrics


def test_a_run_that_the_store_has_is_not_trained_again(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(f"tracking.experiment={tmp_path.name}", "epochs=1")
    first = train(config, Job("first", tmp_path, ""))
    (tmp_path / "second").mkdir()
    second = train(config, Job("second", tmp_path / "second", ""))
    assert (first.was_done, second.was_done) == (False, True)
    assert second.run_id == first.run_id
    assert second.metrics["test/mse"] == first.metrics["test/mse"]
    assert [*(tmp_path / "second").iterdir()] == []


def test_a_run_that_failed_is_not_trained_again(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(f"tracking.experiment={tmp_path.name}", "lr=1e9")
    with pytest.raises(TrainingError, match=r"^loss is"):
        train(config, Job("first", tmp_path, ""))
    (tmp_path / "second").mkdir()
    with pytest.raises(TrainingError, match=r"^second: failed before: loss is .* runs it again"):
        train(config, Job("second", tmp_path / "second", ""))


def test_a_run_that_starts_again_as_its_folder_is_gone_says_so(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(f"tracking.experiment={tmp_path.name}", "epochs=1")
    (tmp_path / "first").mkdir()
    first = Job("first", tmp_path / "first", "")
    with (
        suppress(KeyboardInterrupt),
        open_run(config, first, Known, kind="run", subject="") as (run, _),
    ):
        assert run
        gone = run.id
        raise KeyboardInterrupt
    (tmp_path / "first").rename(tmp_path / "moved")
    (tmp_path / "second").mkdir()
    result = train(config, Job("second", tmp_path / "second", ""))
    assert result.run_id != gone
    assert capsys.readouterr().out.splitlines()[0] == (
        f"warning: second: new: run {gone[:8]} was interrupted, and its folder is not where it "
        "was; if it was moved, python -m fae.sync finds it"
    )


class EndsAfterAnEpoch(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise Interrupted(signal.SIGTERM)


@pytest.mark.parametrize("library", ["onednn", "torch"])
def test_a_run_that_other_kernels_resume_is_told_to_have_mixed_bits(
    tiny: Tiny,
    tmp_path: Path,
    client: MlflowClient,
    capsys: pytest.CaptureFixture[str],
    library: str,
) -> None:
    experiment = f"tracking.experiment={tmp_path.name}"
    config = tiny(experiment, "epochs=3", "trainer.kernels=onednn")
    job, other = Job("first", tmp_path, ""), tiny(experiment, "epochs=3", "trainer.kernels=torch")
    with suppress(Interrupted), open_run(config, job, Known, kind="run", subject="") as (run, _):
        assert run
        fit(run, config, job, resumed=False, started=0.0, callbacks=[EndsAfterAnEpoch()])
    result = train(config if library == "onednn" else other, job)
    assert run is not None
    assert result.run_id == run.id
    told = client.get_run(result.run_id).data.tags["fae.kernels"]
    device, instructions = processor.name(), processor.instructions()
    onednn, mkl = (
        f"{instructions}, oneDNN",
        f"{instructions}, MKL in {torch.get_num_threads()} threads",
    )
    if library == "onednn":
        assert told == onednn
        assert "mixed" not in capsys.readouterr().out
    else:
        assert told == f"mixed bits: {device}, {onednn}, then {device}, {mkl}"
        assert f"which round differently: {device}, {onednn}, then" in capsys.readouterr().out


def test_a_run_that_starts_over_by_other_kernels_is_theirs_alone(
    tiny: Tiny, tmp_path: Path, client: MlflowClient
) -> None:
    experiment, job = f"tracking.experiment={tmp_path.name}", Job("first", tmp_path, "")
    first, other = (tiny(experiment, f"trainer.kernels={name}") for name in ("onednn", "torch"))
    with suppress(Interrupted), open_run(first, job, Known, kind="run", subject="") as (run, _):
        assert run
        raise Interrupted(signal.SIGTERM)
    result = train(other, job)
    assert run is not None
    assert result.run_id == run.id
    told = client.get_run(result.run_id).data.tags["fae.kernels"]
    assert told == f"{processor.instructions()}, MKL in {torch.get_num_threads()} threads"


def test_images_that_do_not_fit_into_memory_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fae.data.memory.available", lambda: 2 * 2500 * 64 - 1)
    uri = f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'"
    config = compose(NO_LOCAL, "experiment=smoke", uri)
    with pytest.raises(ConfigError, match=r"^data=synthetic: 2500 images of 64") as refused:
        train(config, Job("hidden=64", tmp_path, ""))
    assert refused.value.exit_code == 2
    assert [*tmp_path.iterdir()] == []
