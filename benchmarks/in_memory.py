"""Ways that hold all images in memory: a plain PyTorch loop, scikit-learn, JAX."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.peer import BATCH, DROPOUT, LR, InMemory, Measured, initial_weights, network, timed


class WithLoss(nn.Module):
    """The paper's network, from images (batch, 784) to their mean squared error."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.network = network(n)

    def forward(self, images: Tensor) -> Tensor:
        return mse_loss(self.network(images), images)


class Expert:
    """A plain loop over tensors in memory, compiled (error included) or not."""

    def __init__(self, images: InMemory, *, compiled: bool = False, batch: int = BATCH):
        self.images = images
        self.compiled = compiled
        self.batch = batch
        self.compiled_for: int | None = None

    def run(self, n: int, epochs: int) -> Measured:
        if self.compiled and n != self.compiled_for:
            torch.compiler.reset()
            self.compiled_for = n
        model = WithLoss(n)
        optimizer = torch.optim.SGD(model.parameters(), LR)
        forward = torch.compile(model) if self.compiled else model
        train = self.images.train

        def training_pass() -> None:
            model.train()
            for index in torch.randperm(len(train)).split(self.batch):
                loss = forward(train[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        def error(images: Tensor) -> float:
            model.eval()
            with torch.inference_mode():
                parts = [forward(x) for x in images.split(BATCH)]
            return float(torch.stack(parts).mean())

        return timed(training_pass, (train, self.images.val), error, self.images.test, epochs)


class ScikitLearn:
    """``MLPRegressor``: plain SGD from PyTorch's initial weights; it has no dropout.

    Its loss is half the squared error summed over the pixels, its learning rate so much less.
    ``fit`` is called once an epoch, which checks the images each time.
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
    """The training pass as one compiled scan over the minibatches, compiled once a network."""

    def __init__(self, images: InMemory) -> None:
        import jax
        import jax.numpy as jnp

        self.train, self.val, self.test = (
            jnp.asarray(part.numpy()) for part in (images.train, images.val, images.test)
        )

        def reconstruct(weights: list[Any], images: Any, kept: Any) -> Any:
            codes = jax.nn.relu(images @ weights[0] + weights[1]) * kept
            return codes @ weights[2] + weights[3]

        def loss(weights: list[Any], images: Any, key: Any) -> Any:
            codes = len(images), len(weights[1])
            kept = jax.random.bernoulli(key, 1 - DROPOUT, codes) / (1 - DROPOUT)
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

        self.pass_over, self.mean_error = jax.jit(one_pass), jax.jit(mean_error)

    def run(self, n: int, epochs: int) -> Measured:
        import jax

        weights = [jax.numpy.asarray(weight) for weight in initial_weights(n)]
        state: dict[str, Any] = {"weights": weights, "key": jax.random.key(0)}

        def training_pass() -> None:
            state["key"], key = jax.random.split(state["key"])
            weights = self.pass_over(state["weights"], self.train, key)
            state["weights"] = jax.block_until_ready(weights)

        def error(images: Any) -> float:
            return float(self.mean_error(state["weights"], images))

        return timed(training_pass, (self.train, self.val), error, self.test, epochs)
