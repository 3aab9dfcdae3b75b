"""Time fae on a GPU beside a plain loop and the matrix products alone, round by round.

    python -m benchmarks.gpu

Prints a table in Markdown. All have the paper's settings, and single precision unless they say
otherwise.
"""

import platform
import statistics
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from benchmarks.peer import BATCH, LR, InMemory, Measured, network, timed
from benchmarks.peers import Fae

SIZES, ROUNDS, EPOCHS, LEFT_OUT = (64, 128, 256, 512), 3, 12, 2
GPU = torch.device("cuda")


class PlainLoop:
    """A loop over images on the GPU, with PyTorch's layers and its fused optimizer."""

    def __init__(self) -> None:
        images = InMemory.read()
        self.parts = [part.to(GPU) for part in (images.train, images.val)]
        self.test = images.test.to(GPU)

    def run(self, n: int, epochs: int) -> Measured:
        model = network(n).to(GPU)
        optimizer = torch.optim.SGD(model.parameters(), LR, fused=True)
        train = self.parts[0]

        def training_pass() -> None:
            model.train()
            for index in torch.randperm(len(train), device=GPU).split(BATCH):
                images = train[index]
                loss = mse_loss(model(images), images)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            torch.cuda.synchronize()

        def error(images: Tensor) -> float:
            model.eval()
            with torch.inference_mode():
                parts = [mse_loss(model(x), x) for x in images.split(BATCH)]
            return float(torch.stack(parts).mean())

        return timed(training_pass, self.parts, error, self.test, epochs)


class Products:
    """The matrix products of each step and of both evaluations, and nothing else."""

    def run(self, n: int, epochs: int) -> Measured:
        images, residuals = torch.rand(2, BATCH, 784, device=GPU)
        codes, gradients = torch.rand(2, BATCH, n, device=GPU)
        encoder, decoder = torch.rand(n, 784, device=GPU), torch.rand(784, n, device=GPU)

        def training_pass() -> None:
            for _ in range(50_000 // BATCH):
                images @ encoder.T
                codes @ decoder.T
                residuals.T @ codes
                residuals @ decoder
                gradients.T @ images
            torch.cuda.synchronize()

        def evaluation(count: int) -> float:
            for _ in range(count // BATCH):
                images @ encoder.T
                codes @ decoder.T
            torch.cuda.synchronize()
            return 0.0

        with torch.inference_mode():
            return timed(training_pass, (50_000, 10_000), evaluation, 0, epochs)


def main() -> None:
    """Time all and print the table."""
    ways: dict[str, Callable[[int, int], Measured]] = {
        "products": Products().run,
        "plain loop": PlainLoop().run,
        "fae": Fae("trainer.accelerator=gpu").run,
        "fae, bf16-mixed": Fae("trainer.accelerator=gpu", "trainer.precision=bf16-mixed").run,
    }
    device, libraries = torch.cuda.get_device_name(), f"PyTorch {torch.__version__}"
    print(f"{device}, {libraries}, Python {platform.python_version()}; milliseconds\n")
    print("| n |", " | ".join(f"{name}: train | epoch" for name in ways), "|")
    print("| --- |" + " --- | --- |" * len(ways))
    for n in SIZES:
        rounds = [[way(n, EPOCHS) for way in ways.values()] for _ in range(ROUNDS)]
        cells = (
            f"{_median_ms(run.train_s for run in runs)} | {_median_ms(run.epoch_s for run in runs)}"
            for runs in zip(*rounds, strict=True)
        )
        print(f"| {n} |", " | ".join(cells), "|", flush=True)


def _median_ms(runs: Iterable[list[float]]) -> str:
    return f"{1000 * statistics.median(s for run in runs for s in run[LEFT_OUT:]):.0f}"


if __name__ == "__main__":
    main()
