"""fae, the matrix products alone, and the list of all peers."""

import tempfile
from collections.abc import Callable
from functools import cache
from itertools import count, pairwise
from pathlib import Path

import torch
from mlflow import MlflowClient

from benchmarks.image_by_image import Idiomatic, Template
from benchmarks.in_memory import Expert, Jax, ScikitLearn
from benchmarks.peer import BATCH, InMemory, Measured, Peer, quiet_lightning, timed
from fae.cli.compose import compose
from fae.models import kernels
from fae.models.layers.linear import matmul_tn, product
from fae.runs.job import Job
from fae.runs.run import train


class Floor:
    """The matrix products of each step and of both evaluations, and nothing else.

    Args:
        library: that computes them, as ``trainer.kernels`` has it.
    """

    def __init__(self, library: str) -> None:
        self.library = library

    def run(self, n: int, epochs: int) -> Measured:
        images, residuals = torch.rand(2, BATCH, 784)
        codes, gradients = torch.rand(2, BATCH, n)
        encoder, decoder = torch.rand(n, 784), torch.rand(784, n)

        def training_pass() -> None:
            for _ in range(50_000 // BATCH):
                product(images, encoder)
                product(codes, decoder)
                matmul_tn(residuals, codes)
                product(residuals, decoder.T)
                matmul_tn(gradients, images)

        def evaluation(count: int) -> float:
            for _ in range(count // BATCH):
                product(images, encoder)
                product(codes, decoder)
            return 0.0

        with torch.inference_mode(), kernels.using(self.library):
            measured = timed(training_pass, (50_000, 10_000), evaluation, 0, epochs)
        return Measured(measured.train_s, measured.epoch_s, None)

    @staticmethod
    def operations(n: int) -> float:
        """Floating-point operations of an epoch."""
        product = 2.0 * BATCH * 784 * n
        return product * (5 * 50 + 2 * 60)


class Fae:
    """fae as a user runs it: configuration, Lightning, MLflow, checkpoints, pictures.

    An epoch lasts until its metrics are stored, all of that included. Each run has the next
    seed, unless the overrides name one.
    """

    def __init__(self, *overrides: str) -> None:
        self.overrides = overrides
        self.seeds = count()
        self.folder = tempfile.TemporaryDirectory()

    def run(self, n: int, epochs: int) -> Measured:
        folder = Path(tempfile.mkdtemp(dir=self.folder.name))
        uri = f"sqlite:///{self.folder.name}/mlflow.db"
        config = compose(
            "local=none",
            f"hidden={n}",
            f"epochs={epochs}",
            f"seed={next(self.seeds)}",
            f"tracking.uri='{uri}'",
            *self.overrides,
        )
        with quiet_lightning():
            result = train(config, Job(f"n = {n}", folder, ""))
        train_points, epoch_points = (
            MlflowClient(uri).get_metric_history(result.run_id, f"wall_clock/{name}_s")
            for name in ("train", "epoch")
        )
        stored = [point.timestamp / 1000 for point in epoch_points]
        return Measured(
            [point.value for point in train_points],
            [epoch_points[0].value, *(end - start for start, end in pairwise(stored))],
            result.metrics["test/mse"],
        )


PEERS: dict[str, Callable[[Path], Peer]] = {
    "products by oneDNN": lambda _: Floor("onednn"),
    "products by PyTorch": lambda _: Floor("torch"),
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

ONCE = {
    "torchvision and loop, 0 workers": (64, 128, 256, 512),
    "torchvision and loop, 2 workers": (256,),
    "Lightning template": (256,),
    "scikit-learn, no dropout": (256,),
    "fae, no dropout": (256,),
    "plain loop, compiled": (256,),
}
"""Slow, or compared with those only: one round, of these networks."""


@cache
def peer(name: str, root: Path) -> Peer:
    """The peer of that name; this process keeps it, and the images that it holds."""
    return PEERS[name](root)
