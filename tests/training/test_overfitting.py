"""The overfit test: what is trained on, when it stops, and what becomes of a faulty network."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import forking
import pytest
import torch
from conftest import NO_LOCAL, Cli, environment, runs
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.data.images import Images
from fae.errors import ConfigError, TrainingError
from fae.runs.build import build
from fae.runs.run import prepare
from fae.training.overfitting import check_overfitted, overfit_test, variance

Tiny = Callable[..., Config]
TWO = Images(torch.tensor([[0, 255], [255, 255]], dtype=torch.uint8), torch.zeros(2))


def test_the_variance_is_the_least_error_of_one_image_for_all() -> None:
    assert variance(TWO) == pytest.approx((0.25 + 0) / 2)
    assert variance(TWO[:1]) == 0


def test_training_and_validation_images_are_the_first_batch(tiny: Tiny) -> None:
    config = tiny("batch_size=7", "trainer.limit_batches=1")
    data, _ = build(config, config.data.build())
    first = data.split[0].pixels[:7]
    assert overfit_test(data, config.trainer) == []
    (stop,) = overfit_test(data, replace(config.trainer, overfit=0.25))
    data.setup("fit")
    for images in (data.train, data.val):
        assert torch.equal(images.pixels, first)
    assert stop.target == pytest.approx(variance(data.train) / 4)
    for epoch in (0, 1):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        (batch,) = (batch.sum().item() for chunk in loader for batch in chunk)
        assert batch == pytest.approx(first.sum().item() / 255, rel=1e-5)


def test_images_that_are_all_the_same_are_refused_before_a_run_begins(tiny: Tiny) -> None:
    config = tiny("batch_size=1", "trainer.limit_batches=1", "trainer.overfit=0.25")
    with pytest.raises(ConfigError, match="batch_size=1: the images of the overfit test are all"):
        prepare(config)


def test_an_error_is_a_share_of_the_variance() -> None:
    found = check_overfitted(0.1, 4, TWO, 0.01)
    assert found == "overfit  error 0.0100 on 2 images, 8.00 % of their variance"
    with pytest.raises(TrainingError, match=r"below 5.0 % was to be reached: the network has a"):
        check_overfitted(0.05, 4, TWO, 0.01)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "trainer.limit_batches=null: must be 1 with trainer.overfit"),
        (["trainer.limit_batches=2"], "trainer.limit_batches=2: must be 1 with trainer.overfit"),
        (
            ["trainer.limit_batches=1", "trainer.early_stopping=3"],
            "trainer.early_stopping=3: would end the overfit test before it has an answer",
        ),
    ],
)
def test_it_needs_one_batch_and_no_other_end(
    tiny: Tiny, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny("trainer.overfit=0.5", *overrides)


SMALL = ("experiment=overfit", "data=synthetic", "hidden=16")


def test_a_sound_network_passes_and_stops_as_soon_as_it_does(
    cli: Cli, client: MlflowClient, store_uri: str, tmp_path: Path
) -> None:
    done = cli(*SMALL, "trainer.overfit=0.8")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = (line for line in done.stdout.splitlines() if line.startswith("overfit  error "))
    (run,) = runs(client, "run", tmp_path)
    errors = [point.value for point in client.get_metric_history(run.info.run_id, "train/mse")]
    assert 1 < len(errors) < 2000
    config = compose(NO_LOCAL, *SMALL)
    data, _ = build(config, config.data.build())
    target = 0.8 * variance(data.split[0][: config.batch_size])
    assert errors[-1] <= target < min(errors[:-1])
    assert errors == [p.value for p in client.get_metric_history(run.info.run_id, "val/mse")]
    again = forking.run(
        [sys.executable, "-m", "fae.train", *SMALL, "trainer.overfit=0.8", NO_LOCAL],
        cwd=tmp_path,
        env=environment(store_uri),
    )
    assert again.returncode == 0, again.stderr
    assert found in again.stdout.splitlines()


def test_a_faulty_network_fails_with_its_error(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    """One that hardly learns, as if its gradients did not arrive."""
    done = cli(*SMALL, "lr=1e-9", "epochs=2")
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith("fae: overfit  error ")
    assert "the network has a fault, or too few epochs" in message
    (run,) = runs(client, "run", tmp_path)
    assert run.info.status == "FAILED"
    assert run.data.tags["fae.error"] in message
