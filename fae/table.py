"""The table of a sweep: one row a run, the paper's error beside ours."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.table import Table

from fae import paper
from fae.result import Result

Columns = Mapping[str, Sequence[str]]


def titles(results: Sequence[Result]) -> list[str]:
    """What sets each run apart from the others, in the paper's words: ``n = 64``."""
    parts = [result.name.split() for result in results]
    shared = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    kept = [[p for p in name if p not in shared] or name for name in parts]
    return [" ".join(p.replace("hidden=", "n = ") for p in name) for name in kept]


def columns(results: Sequence[Result]) -> Columns:
    """Column heading to its cells, one a run."""
    finals = [result.final for result in results]
    published = [_published(result) for result in results]
    return {
        "run": titles(results),
        "train": [f"{f['train/mse']:.4f}" for f in finals],
        "val": [f"{f['val/mse']:.4f}" for f in finals],
        "test": [f"{f['test/mse']:.4f}" for f in finals],
        "paper": ["" if p is None else f"{p:.4f}" for p in published],
        "diff": [
            "" if p is None else f"{f['test/mse'] / p - 1:+.1%}"
            for f, p in zip(finals, published, strict=True)
        ],
        "fit [s]": [f"{f['time/fit_s']:.1f}" for f in finals],
        "run id": [result.run_id[:8] for result in results],
    }


def markdown(table: Columns) -> str:
    """The table in Markdown."""
    rows = [list(table), ["---"] * len(table), *map(list, zip(*table.values(), strict=True))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def terminal(table: Columns) -> Table:
    """The table for rich to print."""
    shown = Table(title="mean squared error", box=SIMPLE)
    for heading in table:
        shown.add_column(heading, justify="left" if heading.startswith("run") else "right")
    for row in zip(*table.values(), strict=True):
        shown.add_row(*row)
    return shown


def _published(result: Result) -> float | None:
    """The paper's test error at this width, on the paper's data."""
    if result.parameters["data"] != "fashion_mnist":
        return None
    return paper.TEST_MSE.get(int(result.parameters["hidden"]))
