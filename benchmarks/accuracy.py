"""Compare fae's test errors with a plain PyTorch loop's, and write docs/accuracy.md.

    python -m benchmarks.accuracy

For each network and seed of the paper's settings, fae by each library of matrix products, and a
plain loop that starts from the same weights and sees the images in the same order. Dropout is
PyTorch's own there and fae's here, so that the differences are those of two seeds of dropout.
"""

import tempfile
from pathlib import Path

import torch

from benchmarks.bench import SIZES, machine
from benchmarks.in_memory import WithLoss
from benchmarks.peer import BATCH, LR, InMemory, quiet_lightning
from benchmarks.tables import DOCS, table
from fae.cli.compose import compose
from fae.models.kernels import LIBRARIES
from fae.runs.job import Job
from fae.runs.run import train
from fae.runtime.intervals import estimate, paired
from fae.runtime.seeding import Stream, generator, seed_torch, stream_seed

EPOCHS, SEEDS = 30, range(5)


def main() -> None:
    """Train all of them and write it down."""
    rows = [["n", "kernels", "plain loop", "fae", "difference, paired", "of the error"]]
    for n in SIZES:
        theirs = [plain(n, seed) for seed in SEEDS]
        for library in LIBRARIES:
            ours = [by_fae(n, seed, library) for seed in SEEDS]
            mean, difference = estimate(theirs).mean, paired(ours, theirs)
            assert difference.half is not None, "one seed has no spread"
            rows.append(
                [
                    str(n),
                    library,
                    f"{mean:.5f}",
                    f"{estimate(ours).mean:.5f}",
                    f"{difference.mean:+.5f} ± {difference.half:.5f}",
                    f"{difference.mean / mean:+.2%} ± {difference.half / mean:.2%}",
                ]
            )
            print(rows[-1], flush=True)
    text = (
        "# Accuracy\n\nWritten by `make bench-accuracy`. "
        + "; ".join(f"{key}: {value}" for key, value in machine().items())
        + f".\n\nTest errors of the paper's networks after {EPOCHS} epochs, by fae with "
        "`trainer.kernels` as given and by a plain PyTorch loop, which takes PyTorch's, with the "
        f"same {len(SEEDS)} seeds: means, and their differences with 95 % intervals (Student's "
        f"t):\n\n{table(rows)}\n"
    )
    (DOCS / "accuracy.md").write_text(text)


def by_fae(n: int, seed: int, library: str) -> float:
    """The test error of a run as a user makes it, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder, quiet_lightning():
        config = compose(
            "local=none",
            f"hidden={n}",
            f"seed={seed}",
            f"epochs={EPOCHS}",
            f"trainer.kernels={library}",
            f"tracking.uri='sqlite:///{folder}/mlflow.db'",
        )
        result = train(config, Job(f"n = {n}, seed {seed}", Path(folder), ""))
    return result.metrics["test/mse"]


def plain(n: int, seed: int) -> float:
    """The test error of a plain loop with ``nn.Linear``, ``nn.Dropout`` and ``mse_loss``."""
    images = InMemory.read()
    seed_torch(stream_seed(seed, Stream.INITIALISATION))
    model = WithLoss(n)
    optimizer = torch.optim.SGD(model.parameters(), LR)
    for epoch in range(EPOCHS):
        order = generator(seed, Stream.ORDER, epoch)
        for index in torch.randperm(len(images.train), generator=order).split(BATCH):
            loss = model(images.train[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        return float(model.eval()(images.test))


if __name__ == "__main__":
    main()
