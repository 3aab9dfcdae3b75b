"""Ways that load image by image, as tutorials and templates do: torchvision and a DataLoader."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset, Subset, random_split

from benchmarks.peer import BATCH, LR, Measured, network, quiet_lightning, timed

if TYPE_CHECKING:
    from torchvision.datasets import FashionMNIST


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


def datasets(root: Path) -> "tuple[Subset, Subset, FashionMNIST]":  # type: ignore[type-arg]
    """torchvision's data set, split at random as in the paper."""
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import ToTensor

    train, val = random_split(FashionMNIST(str(root), transform=ToTensor()), [50_000, 10_000])
    return train, val, FashionMNIST(str(root), train=False, transform=ToTensor())
