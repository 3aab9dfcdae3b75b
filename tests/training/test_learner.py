"""The learner against a plain PyTorch loop."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fae.config import Config
from fae.data.datamodule import EvalBatches
from fae.errors import TrainingError
from fae.models.layers.dropout import Dropout
from fae.runs.build import build
from fae.runtime.seeding import Stream, generator, seed_torch, stream_seed
from fae.training.evaluation import Evaluation
from fae.training.learner import Learner
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]


def fit(config: Config, folder: Path) -> tuple[Learner, list[dict[str, float]]]:
    """Train as ``fae.runs.run`` does, without the store; the learner and its epochs."""
    import pytorch_lightning as pl

    epochs: list[dict[str, float]] = []

    class Watch(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            epochs.append({k: v.item() for k, v in trainer.callback_metrics.items()})

    data, learner = build(config, config.data.build())
    trainer = build_trainer(
        config.trainer, epochs=config.epochs, folder=folder, callbacks=[Watch()]
    )
    trainer.fit(learner, data)
    return learner, epochs


def plain_loop(config: Config) -> tuple[nn.Module, list[dict[str, float]]]:
    """What any PyTorch user would write, at the same places of the random streams."""
    images = config.data.build().training().pixels.float() / 255
    split = torch.randperm(len(images), generator=generator(0, Stream.SPLIT))
    train, val = images[split[: config.data.train]], images[split[config.data.train :]]
    pixels = images.shape[1]
    seed_torch(stream_seed(config.seed, Stream.INITIALISATION))
    network = nn.Sequential(
        nn.Linear(pixels, config.hidden),
        nn.ReLU(),
        Dropout(config.dropout),
        nn.Linear(config.hidden, pixels),
    )
    optimizer = torch.optim.SGD(network.parameters(), config.lr)
    epochs = []
    for epoch in range(config.epochs):
        order = torch.randperm(len(train), generator=generator(config.seed, Stream.ORDER, epoch))
        losses = []
        for step, index in enumerate(order.split(config.batch_size)):
            seed_torch(stream_seed(config.seed, Stream.DROPOUT, epoch, step))
            loss = (network(train[index]) - train[index]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        network.eval()

        def mse(images: Tensor) -> float:
            with torch.no_grad():
                error: Tensor = (network(images).double() - images).square().mean()
            return error.item()

        epochs.append(
            {"train/loss": sum(losses) / len(losses), "train/mse": mse(train), "val/mse": mse(val)}
        )
        network.train()
    return network, epochs


def test_training_is_the_plain_loop(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("epochs=3", "hidden=16", "dropout=0.3", "seed=5")
    learner, epochs = fit(config, tmp_path)
    reference, expected = plain_loop(config)
    ours = list(learner.network.parameters())
    for mine, theirs in zip(ours, reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)
    assert len(epochs) == 3
    for mine_epoch, theirs_epoch in zip(epochs, expected, strict=True):
        assert mine_epoch == pytest.approx(theirs_epoch, rel=1e-5)


def test_errors_are_in_double_precision(tiny: Tiny, tmp_path: Path) -> None:
    """Those of the last epoch are the very sums; early stopping compares them, too."""
    config = tiny("epochs=2", "trainer.early_stopping=2")
    learner, epochs = fit(config, tmp_path)
    data, _ = build(config, config.data.build())
    data.setup("fit")
    evaluation = Evaluation()
    learner.eval()
    with torch.no_grad():
        for images in EvalBatches(data.val):
            evaluation.update(learner.network.residuals(images))
    assert epochs[-1]["val/mse"] == evaluation.compute()["mse"]
    assert all(value != float(np.float32(value)) for value in epochs[-1].values())


def test_seeds_matter_and_nothing_else_does(tiny: Tiny, tmp_path: Path) -> None:
    def weights(seed: int) -> Tensor:
        learner, _ = fit(tiny(f"seed={seed}"), tmp_path / str(torch.rand(1).item()))
        return nn.utils.parameters_to_vector(learner.network.parameters())

    first = weights(seed=1)
    torch.rand(17)
    assert torch.equal(first, weights(seed=1))
    assert not torch.equal(first, weights(seed=2))


def test_a_diverging_run_stops_and_says_where(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is (inf|nan) at epoch 1, step \d+: .*lr=1e\+09"):
        fit(tiny("lr=1e9"), tmp_path)


def test_a_network_that_diverges_at_the_last_step_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"train/mse is (inf|nan) after step 1:"):
        fit(tiny("lr=1e30", "batch_size=2000", "epochs=1"), tmp_path)


def rates(config: Config, folder: Path) -> list[float]:
    """The learning rate of each step of a run."""
    import pytorch_lightning as pl

    seen: list[float] = []

    class Watch(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
            trainer.optimizers[0].register_step_pre_hook(
                lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
            )

    data, learner = build(config, config.data.build())
    build_trainer(config.trainer, epochs=config.epochs, folder=folder, callbacks=[Watch()]).fit(
        learner, data
    )
    return seen


def test_schedules_follow_their_formulas(tiny: Tiny, tmp_path: Path) -> None:
    def run(schedule: str) -> list[float]:
        overrides = ["lr=0.2", "epochs=2", f"optimizer.schedule={schedule}"]
        return rates(tiny(*overrides), tmp_path / schedule)

    steps = 40
    assert run("constant") == [0.2] * steps
    cosine = [0.1 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    assert run("cosine") == pytest.approx(cosine)
    one_cycle = run("one_cycle")
    assert one_cycle[0] == pytest.approx(0.2 / 25)
    assert max(one_cycle) == pytest.approx(0.2)
    assert one_cycle.index(max(one_cycle)) == round(0.3 * steps) - 1
    assert one_cycle[-1] < 0.2 / 25 / 1000


@pytest.mark.parametrize(
    ("overrides", "kind", "expected"),
    [
        (["optimizer=adam"], torch.optim.Adam, {"lr": 1e-3, "betas": (0.9, 0.999)}),
        (["optimizer=adamw"], torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.01}),
        (
            ["optimizer.momentum=0.9", "optimizer.nesterov=true", "optimizer.weight_decay=0.1"],
            torch.optim.SGD,
            {"lr": 0.5, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        ),
    ],
)
def test_optimizers_are_built_as_configured(
    tiny: Tiny, overrides: list[str], kind: type, expected: dict[str, object]
) -> None:
    config = tiny(*overrides)
    optimizer = config.optimizer.build([nn.Parameter(torch.ones(1))], config.lr)
    assert type(optimizer) is kind
    assert {key: optimizer.defaults[key] for key in expected} == expected


def test_bfloat16_comes_close_to_single_precision(tiny: Tiny, tmp_path: Path) -> None:
    full, full_epochs = fit(tiny("hidden=16"), tmp_path / "full")
    mixed, mixed_epochs = fit(tiny("hidden=16", "trainer.precision=bf16-mixed"), tmp_path / "bf16")
    assert mixed_epochs[-1]["val/mse"] == pytest.approx(full_epochs[-1]["val/mse"], rel=0.02)
    assert mixed_epochs != full_epochs
    assert {p.dtype for p in mixed.parameters()} == {p.dtype for p in full.parameters()}
    assert mixed.reconstruct(torch.rand(2, 64)).dtype == torch.float32


def test_lightning_counts_every_optimizer_step(tiny: Tiny, tmp_path: Path) -> None:
    """More batches than one call gets, and a last call with fewer."""
    config = tiny("batch_size=33", "epochs=2")
    data, learner = build(config, config.data.build())
    trainer = build_trainer(config.trainer, epochs=2, folder=tmp_path, callbacks=[])
    trainer.fit(learner, data)
    assert (data.steps_per_epoch, len(data.train_dataloader())) == (61, 2)
    assert trainer.global_step == 2 * 61


def test_another_output_than_linear_is_the_plain_loop_too(tiny: Tiny) -> None:
    config = tiny("model.output_activation=sigmoid", "dropout=0.0")
    data, learner = build(config, config.data.build())
    data.setup("fit")
    images = data.train.as_floats().pixels[:7]
    expected = nn.functional.mse_loss(learner.network(images), images)
    torch.testing.assert_close(learner.network.error(images), expected, check_dtype=False)
    torch.testing.assert_close(learner.network.residuals(images), learner(images) - images)


def test_early_stopping_ends_a_run_that_no_longer_improves(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("epochs=50", "optimizer=adam", "lr=0.5", "trainer.early_stopping=2")
    _, epochs = fit(config, tmp_path)
    errors = [epoch["val/mse"] for epoch in epochs]
    assert len(errors) < 50
    assert len(errors) - 1 - errors.index(min(errors)) == 2
