"""The networks beside the dense ones, against their formulas in plain PyTorch."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fae.config import Config
from fae.errors import ConfigError
from fae.models.convolutional.network import Convolutional
from fae.models.layers.dropout import Dropout
from fae.models.tied.network import Tied
from fae.models.variational.network import Variational
from fae.runs.build import build
from fae.runtime.seeding import Stream, generator, seed_torch, stream_seed
from fae.training.denoising import Denoising
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]
FAMILIES = ["tied", "variational", "convolutional"]


def tied(config: Config) -> tuple[list[Tensor], Callable[[Tensor, Tensor], Tensor]]:
    """The parameters of a network, and its loss on inputs and images."""
    layer, bias = nn.Linear(64, config.hidden), torch.zeros(64, requires_grad=True)
    dropout = Dropout(config.dropout)

    def loss(inputs: Tensor, images: Tensor) -> Tensor:
        codes = dropout(layer(inputs).relu())
        return functional.mse_loss(codes @ layer.weight + bias, images)

    return [bias, *layer.parameters()], loss


def variational(config: Config) -> tuple[list[Tensor], Callable[[Tensor, Tensor], Tensor]]:
    n = config.hidden
    sizes = [(64, 512), (512, n), (512, n), (n, 512), (512, 64)]
    before, mean, log_variance, after, last = layers = [nn.Linear(*pair) for pair in sizes]
    dropout = Dropout(config.dropout)

    def loss(inputs: Tensor, images: Tensor) -> Tensor:
        features = functional.gelu(before(inputs))
        normal = torch.distributions.Normal(mean(features), (log_variance(features) / 2).exp())
        codes = dropout(normal.rsample())
        standard = torch.distributions.Normal(0.0, 1.0)
        divergence = torch.distributions.kl_divergence(normal, standard).sum(1).mean()
        images_again = last(functional.gelu(after(codes)))
        return functional.mse_loss(images_again, images) + 1e-3 * divergence / 64

    return [p for layer in layers for p in layer.parameters()], loss


def convolutional(config: Config) -> tuple[list[Tensor], Callable[[Tensor, Tensor], Tensor]]:
    down = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise([1, 16, 32])]
    code, back = nn.Linear(128, config.hidden), nn.Linear(config.hidden, 128)
    up = [
        nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)
        for a, b in pairwise([32, 16, 1])
    ]
    dropout = Dropout(config.dropout)

    def loss(inputs: Tensor, images: Tensor) -> Tensor:
        values = inputs.view(-1, 1, 8, 8)
        for layer in down:
            values = functional.gelu(layer(values))
        values = back(dropout(code(values.flatten(1)))).view(-1, 32, 2, 2)
        for larger in up:
            values = larger(functional.gelu(values))
        return functional.mse_loss(values.flatten(1), images)

    return [p for layer in [*down, code, back, *up] for p in layer.parameters()], loss


PLAIN = {"tied": tied, "variational": variational, "convolutional": convolutional}


def losses(config: Config, noise: float) -> Iterator[float]:
    """Train as any PyTorch user would, at the same places of the random streams."""
    images = config.data.build().training().pixels.float() / 255
    split = torch.randperm(len(images), generator=generator(0, Stream.SPLIT))
    train = images[split[: config.data.train]]
    seed_torch(stream_seed(config.seed, Stream.INITIALISATION))
    parameters, loss_of = PLAIN[config.model.name](config)
    optimizer = torch.optim.SGD(parameters, config.lr)
    for epoch in range(config.epochs):
        order = torch.randperm(len(train), generator=generator(config.seed, Stream.ORDER, epoch))
        total = 0.0
        for step, index in enumerate(order.split(config.batch_size)):
            seed_torch(stream_seed(config.seed, Stream.DROPOUT, epoch, step))
            batch = train[index]
            inputs = batch + noise * torch.randn_like(batch) if noise else batch
            loss = loss_of(inputs, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        yield total / len(train)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_is_the_plain_loop(tiny: Tiny, tmp_path: Path, family: str, noise: float) -> None:
    """To 1e-4 in the loss of each of three epochs, with dropout, and with noisy inputs."""
    import pytorch_lightning as pl

    config = tiny(f"model={family}", "epochs=3", "hidden=16", "dropout=0.25", "seed=5")
    seen: list[float] = []

    class Watch(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(float(trainer.callback_metrics["train/loss"]))

    data, learner = build(config, config.data.build())
    if noise:
        learner.network = Denoising(learner.network, noise)
    trainer = build_trainer(config.trainer, epochs=3, folder=tmp_path, callbacks=[Watch()])
    trainer.fit(learner, data)
    assert seen == pytest.approx([*losses(config, noise)], rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 28), (3, 32), (1, 7), (3, 9), (1, 4)])
def test_a_convolutional_one_reconstructs_images_of_any_side_and_in_colour(
    shape: tuple[int, int],
) -> None:
    pixels = shape[0] * shape[1] ** 2
    network = Convolutional(shape, [4, 5], 3, dropout=0.0)
    images = torch.rand(2, pixels)
    assert network.encode(images).shape == (2, 3)
    assert network(images).shape == (2, pixels)


def test_channels_of_an_image_stay_apart() -> None:
    """A row has all of red, then green, then blue: a change of red does not move into blue."""
    network = Convolutional((3, 8), [4], 3, dropout=0.0)
    convolution = network.before[1]
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight[:, 0] = 0
    images = torch.rand(1, 192)
    redder = images.clone()
    redder[:, :64] = 1
    assert torch.equal(network.encode(images), network.encode(redder))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (["model.channels=[4,4,4,4]"], "4 convolutions, each of which halves the image, are too"),
        (["model.channels=[]"], "model.channels"),
    ],
)
def test_convolutions_that_do_not_fit_are_refused(
    tiny: Tiny, setting: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny("model=convolutional", *setting)


def test_tied_weights_are_one() -> None:
    network = Tied(6, 3, dropout=0.0)
    images = torch.rand(5, 6)
    codes = (images @ network.encoder.weight.T + network.encoder.bias).clamp(min=0)
    torch.testing.assert_close(network(images), codes @ network.encoder.weight + network.bias)
    torch.testing.assert_close(network.residuals(images), network(images) - images)
    assert sum(p.numel() for p in network.parameters()) == 6 * 3 + 3 + 6


def test_a_variational_one_draws_its_codes_in_training_only() -> None:
    network = Variational(6, 5, 3, dropout=0.0, beta=1.0)
    images = torch.rand(4, 6)
    assert torch.equal(network(images), network(images))
    assert not torch.equal(network.error(images), network.error(images))


def test_noise_is_added_to_what_the_network_sees_in_training_only() -> None:
    network = Tied(6, 3, dropout=0.0)
    noisy, images = Denoising(network, 0.3), torch.rand(4, 6)
    for method in ("encode", "forward", "residuals"):
        assert torch.equal(getattr(noisy, method)(images), getattr(network, method)(images))
    torch.manual_seed(1)
    error = noisy.error(images)
    torch.manual_seed(1)
    seen = network(images + 0.3 * torch.randn_like(images))
    torch.testing.assert_close(error, functional.mse_loss(seen, images), check_dtype=False)
