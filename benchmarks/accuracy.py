"""Compare the report's test errors with a plain PyTorch loop's, and write docs/accuracy.md.

    python -m benchmarks.accuracy

For each run of docs/report, a plain loop that starts from the same weights and sees the images
in the same order. Dropout is PyTorch's own there and fae's here, so that the differences are
those of two seeds of dropout.
"""

import json

import torch

from benchmarks.bench import machine
from benchmarks.in_memory import WithLoss
from benchmarks.peer import BATCH, LR, InMemory
from benchmarks.tables import DOCS, table
from fae.runtime.intervals import estimate, paired
from fae.runtime.seeding import Stream, generator, seed_torch, stream_seed


def main() -> None:
    """Train the plain loops and write it down."""
    told = machine()
    reported = json.loads((DOCS / "report" / "summary.json").read_text())
    rows = [["n", "plain loop", "fae", "difference, paired", "of the error"]]
    for row in reported["rows"]:
        n, ours = row["hidden"], [run["test"] for run in row["runs"]]
        epochs = row["runs"][0]["diagnosis"]["epochs"]
        theirs = [plain(n, run["seed"], epochs) for run in row["runs"]]
        mean, difference = estimate(theirs).mean, paired(ours, theirs)
        assert difference.half is not None, "one seed has no spread"
        rows.append(
            [
                str(n),
                f"{mean:.5f}",
                f"{estimate(ours).mean:.5f}",
                f"{difference.mean:+.5f} ± {difference.half:.5f}",
                f"{difference.mean / mean:+.2%} ± {difference.half / mean:.2%}",
            ]
        )
        print(rows[-1], flush=True)
    text = (
        "; ".join(f"{key}: {value}" for key, value in told.items())
        + f".\n\nTest errors of docs/report ({reported['name']}) and of a plain PyTorch loop with "
        "the same seeds, means, and their differences with 95 % intervals (Student's t):\n\n"
        f"{table(rows)}\n"
    )
    (DOCS / "accuracy.md").write_text(text)


def plain(n: int, seed: int, epochs: int) -> float:
    """The test error of a plain loop with ``nn.Linear``, ``nn.Dropout`` and ``mse_loss``."""
    images = InMemory.read()
    seed_torch(stream_seed(seed, Stream.INITIALISATION))
    model = WithLoss(n)
    optimizer = torch.optim.SGD(model.parameters(), LR)
    for epoch in range(epochs):
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
