"""Compare fae's test errors with a plain PyTorch loop's, and write docs/accuracy.md.

    python -m benchmarks.accuracy

The paper's sweep over five seeds. Either way starts from the same weights and sees the images
in the same order; dropout is PyTorch's own there and fae's here, so that the differences are
those of two seeds of dropout.
"""

import torch
from torch import nn
from torch.nn.functional import mse_loss

from benchmarks.bench import DOCS, SIZES, machine, table
from benchmarks.peer import BATCH, LR, InMemory, network
from benchmarks.peers import Fae
from fae.randomness import Stream, generator, seed_torch
from fae.statistics import estimate, paired

SEEDS = range(5)
EPOCHS = 30


def main() -> None:
    """Train everything and write it down."""
    told = machine()
    rows = [["n", "plain loop", "fae", "difference, paired", "of the error"]]
    for n in SIZES:
        theirs, ours = [], []
        for seed in SEEDS:
            theirs.append(plain(n, seed))
            ours.append(Fae(f"seed={seed}").run(n, EPOCHS).test_mse or float("nan"))
            print(f"n = {n}  seed {seed}  plain {theirs[-1]:.5f}  fae {ours[-1]:.5f}", flush=True)
        mean, difference = estimate(theirs).mean, paired(ours, theirs)
        assert difference.half is not None
        rows.append(
            [
                str(n),
                f"{mean:.5f}",
                f"{estimate(ours).mean:.5f}",
                f"{difference.mean:+.5f} ± {difference.half:.5f}",
                f"{difference.mean / mean:+.2%} ± {difference.half / mean:.2%}",
            ]
        )
    text = (
        "; ".join(f"{key}: {value}" for key, value in told.items())
        + f".\n\nTest errors after {EPOCHS} epochs, means over {len(SEEDS)} seeds, differences "
        f"with 95 % intervals (Student's t):\n\n{table(rows)}\n"
    )
    (DOCS / "accuracy.md").write_text(text)
    print(text)


def plain(n: int, seed: int) -> float:
    """The test error of a plain loop with ``nn.Linear``, ``nn.Dropout`` and ``mse_loss``."""
    images = InMemory.read()
    seed_torch(seed, Stream.INITIALISATION)
    model: nn.Module = network(n)
    optimizer = torch.optim.SGD(model.parameters(), LR)
    for epoch in range(EPOCHS):
        order = generator(seed, Stream.ORDER, epoch)
        for index in torch.randperm(len(images.train), generator=order).split(BATCH):
            batch = images.train[index]
            loss = mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        return float(mse_loss(model.eval()(images.test), images.test))


if __name__ == "__main__":
    main()
