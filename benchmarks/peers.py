"""The ways to train the paper's network that are timed beside each other.

Each trains for some epochs from its own start and hands back what each epoch took and the
test error that it reached, so that a way that does less work shows. An epoch is a training
pass and an evaluation of all training and all validation images, in evaluation mode.
``PEERS`` names them all.
"""

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from mlflow import MlflowClient
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from fae.compose import compose
from fae.job import Job
from fae.linear import times_transposed, transposed_times
from fae.sources import build_source, split_at_random
from fae.training import train

T = TypeVar("T")
BATCH, LR, DROPOUT = 1000, 0.5, 0.1


@dataclass(frozen=True)
class Measured:
    """What some epochs took, in seconds each, and the test error after them."""

    train_s: list[float]
    epoch_s: list[float]
    test_mse: float | None


class Peer(Protocol):
    """A way to train a network of n hidden units."""

    def run(self, n: int, epochs: int) -> Measured: ...


@dataclass(frozen=True)
class InMemory:
    """All images as float tensors (images, 784) in [0, 1]."""

    train: Tensor
    val: Tensor
    test: Tensor

    @staticmethod
    @cache
    def read() -> "InMemory":
        """Fashion-MNIST, split as by fae."""
        source = build_source(compose("local=none").data)
        train, val = split_at_random(source.training(), 50_000, 10_000, 0)
        return InMemory(*(part.as_floats().pixels for part in (train, val, source.test())))


def network(n: int) -> nn.Sequential:
    """The paper's network as plain PyTorch has it."""
    return nn.Sequential(nn.Linear(784, n), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(n, 784))


def initial_weights(n: int) -> list[np.ndarray]:
    """What a network of PyTorch's starts from: (784, n), (n,), (n, 784), (784,)."""
    encoder, decoder = (layer for layer in network(n) if isinstance(layer, nn.Linear))
    parameters = (encoder.weight.T, encoder.bias, decoder.weight.T, decoder.bias)
    return [parameter.detach().numpy().copy() for parameter in parameters]


class Expert:
    """A plain loop over tensors in memory, compiled or not."""

    def __init__(self, images: InMemory, *, compiled: bool = False, batch: int = BATCH):
        self.images = images
        self.compiled = compiled
        self.batch = batch

    def run(self, n: int, epochs: int) -> Measured:
        model = network(n)
        optimizer = torch.optim.SGD(model.parameters(), LR)
        forward = torch.compile(model) if self.compiled else model
        train = self.images.train

        def training_pass() -> None:
            model.train()
            for index in torch.randperm(len(train)).split(self.batch):
                batch = train[index]
                loss = mse_loss(forward(batch), batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        def error(images: Tensor) -> float:
            model.eval()
            with torch.inference_mode():
                parts = [mse_loss(forward(x), x) for x in images.split(BATCH)]
            return float(torch.stack(parts).mean())

        return timed(training_pass, (train, self.images.val), error, self.images.test, epochs)


class Idiomatic:
    """torchvision, ``ToTensor``, a DataLoader and a plain loop: the paper's way."""

    def __init__(self, root: Path, workers: int) -> None:
        self.root = root
        self.workers = workers

    def run(self, n: int, epochs: int) -> Measured:
        train, val, test = datasets(self.root)
        loading: dict[str, Any] = {"batch_size": BATCH, "num_workers": self.workers}
        if self.workers:  # as Python does on Linux, but not in a process that was spawned
            loading["multiprocessing_context"] = "fork"
        shuffled = DataLoader(train, shuffle=True, **loading)
        model = network(n)
        optimizer = torch.optim.SGD(model.parameters(), LR)

        def training_pass() -> None:
            model.train()
            for images, _ in shuffled:
                flat = images.flatten(1)
                loss = mse_loss(model(flat), flat)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        def error(images: Dataset[tuple[Tensor, int]]) -> float:
            model.eval()
            with torch.no_grad():
                parts = [
                    mse_loss(model(x.flatten(1)), x.flatten(1))
                    for x, _ in DataLoader(images, **loading)
                ]
            return float(torch.stack(parts).mean())

        return timed(training_pass, (train, val), error, test, epochs)


class Template:
    """The same data in a LightningDataModule, a Trainer around it, as templates do it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, n: int, epochs: int) -> Measured:
        clock = Clock()
        with quiet_lightning(), tempfile.TemporaryDirectory() as folder:
            module, data = TemplateModule(n), TemplateData(self.root)
            trainer = pl.Trainer(
                accelerator="cpu",
                max_epochs=epochs,
                callbacks=[clock],
                default_root_dir=folder,
                num_sanity_val_steps=0,
                enable_progress_bar=False,
                enable_model_summary=False,
                logger=False,
            )
            trainer.fit(module, data)
            (test,) = trainer.test(module, data, verbose=False)
        return Measured(clock.train_s, clock.epoch_s, test["test/mse"])


class TemplateData(pl.LightningDataModule):
    """torchvision's data set through DataLoaders."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.train, self.val, self.test = datasets(root)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(self.train, BATCH, shuffle=True)

    def val_dataloader(self) -> list[DataLoader[tuple[Tensor, int]]]:
        return [DataLoader(d, BATCH) for d in (self.train, self.val)]

    def test_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(self.test, BATCH)


class TemplateModule(pl.LightningModule):
    """The network, its loss and metrics logged by Lightning."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.network = network(n)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images = batch[0].flatten(1)
        return mse_loss(self.network(images), images)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = self.loss(batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int
    ) -> None:
        self.log("mse", self.loss(batch))

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.log("test/mse", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), LR)


class Clock(pl.Callback):
    """Times the training pass and the whole of each epoch."""

    def __init__(self) -> None:
        self.train_s: list[float] = []
        self.epoch_s: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.train_s.append(time.perf_counter() - self.start)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch_s.append(time.perf_counter() - self.start)


class ScikitLearn:
    """``MLPRegressor``: plain SGD from PyTorch's initial weights; it has no dropout.

    Its loss is half the squared error summed over the pixels, its learning rate so much less.
    """

    def __init__(self, images: InMemory) -> None:
        self.train, self.val, self.test = (
            part.numpy() for part in (images.train, images.val, images.test)
        )

    def run(self, n: int, epochs: int) -> Measured:
        from sklearn.neural_network import MLPRegressor

        model = MLPRegressor(
            hidden_layer_sizes=(n,),
            solver="sgd",
            alpha=0,
            batch_size=BATCH,
            learning_rate_init=LR * 2 / 784,
            momentum=0,
            max_iter=1,
            warm_start=True,
        )

        def training_pass() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it has not converged, it says each time
                model.fit(self.train, self.train)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(self.train[:BATCH], self.train[:BATCH])  # it cannot be given weights before
        first, first_bias, second, second_bias = initial_weights(n)
        model.coefs_, model.intercepts_ = [first, second], [first_bias, second_bias]

        def error(images: np.ndarray) -> float:
            return float(np.square(model.predict(images) - images).mean())

        return timed(training_pass, (self.train, self.val), error, self.test, epochs)


class Jax:
    """The training pass as one compiled scan over the minibatches."""

    def __init__(self, images: InMemory) -> None:
        import jax

        self.train, self.val, self.test = (
            jax.numpy.asarray(part.numpy()) for part in (images.train, images.val, images.test)
        )

    def run(self, n: int, epochs: int) -> Measured:
        import jax
        import jax.numpy as jnp

        weights = [jnp.asarray(weight) for weight in initial_weights(n)]

        def reconstruct(weights: list[Any], images: Any, kept: Any) -> Any:
            codes = jax.nn.relu(images @ weights[0] + weights[1]) * kept
            return codes @ weights[2] + weights[3]

        def loss(weights: list[Any], images: Any, key: Any) -> Any:
            kept = jax.random.bernoulli(key, 1 - DROPOUT, (len(images), n)) / (1 - DROPOUT)
            return jnp.square(reconstruct(weights, images, kept) - images).mean()

        def one_pass(weights: list[Any], images: Any, key: Any) -> Any:
            def step(weights: list[Any], index_key: Any) -> tuple[list[Any], Any]:
                index, key = index_key
                error, gradients = jax.value_and_grad(loss)(weights, images[index], key)
                return [w - LR * g for w, g in zip(weights, gradients, strict=True)], error

            order, drop = jax.random.split(key)
            indexes = jax.random.permutation(order, len(images)).reshape(-1, BATCH)
            return jax.lax.scan(step, weights, (indexes, jax.random.split(drop, len(indexes))))[0]

        def mean_error(weights: list[Any], images: Any) -> Any:
            batches = images.reshape(-1, BATCH, images.shape[1])
            return jax.lax.map(
                lambda x: jnp.square(reconstruct(weights, x, 1.0) - x).mean(), batches
            ).mean()

        pass_over, squared = jax.jit(one_pass), jax.jit(mean_error)
        state: dict[str, Any] = {"weights": weights, "key": jax.random.key(0)}

        def training_pass() -> None:
            state["key"], key = jax.random.split(state["key"])
            state["weights"] = jax.block_until_ready(pass_over(state["weights"], self.train, key))

        def error(images: Any) -> float:
            return float(squared(state["weights"], images))

        return timed(training_pass, (self.train, self.val), error, self.test, epochs)


def by_torch(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right``."""
    return left.T @ right


class Floor:
    """The matrix products of each step and of both evaluations, and nothing else.

    Args:
        onednn: by the kernels that fae takes, or by ``torch.mm``.
    """

    def __init__(self, *, onednn: bool) -> None:
        self.onednn = onednn

    def run(self, n: int, epochs: int) -> Measured:
        images, residuals = torch.rand(2, BATCH, 784)
        codes, gradients = torch.rand(2, BATCH, n)
        encoder, decoder = torch.rand(n, 784), torch.rand(784, n)
        times = times_transposed if self.onednn else functional.linear
        transposed = transposed_times if self.onednn else by_torch

        def training_pass() -> None:
            for _ in range(50_000 // BATCH):
                times(images, encoder)
                times(codes, decoder)
                transposed(residuals, codes)
                times(residuals, decoder.T)
                transposed(gradients, images)

        def evaluation(count: int) -> float:
            for _ in range(count // BATCH):
                times(images, encoder)
                times(codes, decoder)
            return 0.0

        with torch.inference_mode():
            measured = timed(training_pass, (50_000, 10_000), evaluation, 0, epochs)
        return Measured(measured.train_s, measured.epoch_s, None)

    @staticmethod
    def operations(n: int) -> float:
        """Floating-point operations of an epoch."""
        product = 2.0 * BATCH * 784 * n
        return product * (5 * 50 + 2 * 60)


class Fae:
    """fae as a user runs it: configuration, Lightning, MLflow, checkpoints, pictures.

    An epoch lasts until its metrics are stored, all of that included.
    """

    def __init__(self, *overrides: str) -> None:
        self.overrides = overrides

    def run(self, n: int, epochs: int) -> Measured:
        folder = Path(tempfile.mkdtemp())
        uri = f"sqlite:///{Path(tempfile.gettempdir(), f'fae-bench-{os.getpid()}.db')}"
        config = compose(
            "local=none",
            f"hidden={n}",
            f"epochs={epochs}",
            f"tracking.uri='{uri}'",
            *self.overrides,
        )
        with quiet_lightning():
            result = train(config, Job(f"n = {n}", folder, ""))
        train_points, epoch_points = (
            MlflowClient(uri).get_metric_history(result.run_id, f"time/{name}_s")
            for name in ("train", "epoch")
        )
        stored = [point.timestamp / 1000 for point in epoch_points]
        return Measured(
            [point.value for point in train_points],
            [epoch_points[0].value, *(end - start for start, end in pairwise(stored))],
            result.metrics["test/mse"],
        )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without what Lightning says at each start."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def timed(
    training_pass: Callable[[], None],
    parts: Iterable[T],
    error: Callable[[T], float],
    test: T,
    epochs: int,
) -> Measured:
    """Time epochs of a training pass and an evaluation of each part."""
    train_s, epoch_s = [], []
    for _ in range(epochs):
        start = time.perf_counter()
        training_pass()
        train_s.append(time.perf_counter() - start)
        for images in parts:
            error(images)
        epoch_s.append(time.perf_counter() - start)
    return Measured(train_s, epoch_s, error(test))


def datasets(root: Path) -> tuple[Subset, Subset, FashionMNIST]:  # type: ignore[type-arg]
    """torchvision's data set, split at random as in the paper."""
    train, val = random_split(FashionMNIST(str(root), transform=ToTensor()), [50_000, 10_000])
    return train, val, FashionMNIST(str(root), train=False, transform=ToTensor())


PEERS: dict[str, Callable[[Path], Peer]] = {
    "products by oneDNN": lambda _: Floor(onednn=True),
    "products by torch.mm": lambda _: Floor(onednn=False),
    "fae": lambda _: Fae(),
    "fae, bf16-mixed": lambda _: Fae("trainer.precision=bf16-mixed"),
    "fae, no dropout": lambda _: Fae("dropout=0.0"),
    "plain loop": lambda _: Expert(InMemory.read()),
    "plain loop, compiled": lambda _: Expert(InMemory.read(), compiled=True),
    "JAX, compiled scan": lambda _: Jax(InMemory.read()),
    "scikit-learn, no dropout": lambda _: ScikitLearn(InMemory.read()),
    "torchvision and loop, 0 workers": lambda root: Idiomatic(root, 0),
    "torchvision and loop, 2 workers": lambda root: Idiomatic(root, 2),
    "Lightning template": Template,
}
"""By name; made from the folder where torchvision finds the data set unpacked."""

SLOW = {
    "torchvision and loop, 0 workers",
    "torchvision and loop, 2 workers",
    "Lightning template",
}
"""Load image by image: an epoch takes many seconds."""


@cache
def peer(name: str, root: Path) -> Peer:
    """The peer of that name; this process keeps it, and the images that it holds."""
    return PEERS[name](root)
