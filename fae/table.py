"""The tables of a sweep: a row a run, and a row a setting over its seeds, beside the paper."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table
from scipy import stats

from fae import paper
from fae.result import Result

Columns = Mapping[str, Sequence[str]]


def titles(results: Sequence[Result]) -> list[str]:
    """What sets each run apart from the others, in the paper's words: ``n = 64``."""
    return _without_shared([result.name for result in results])


def settings(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The runs of each setting, which differ in nothing but their seed, by its title."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        name = " ".join(part for part in result.name.split() if not part.startswith("seed="))
        groups.setdefault(name, []).append(result)
    return dict(zip(_without_shared(list(groups)), groups.values(), strict=True))


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


def over_seeds(results: Sequence[Result]) -> Columns:
    """Mean test error and 95 % interval (Student's t) of each setting that has several seeds."""
    repeated = {title: runs for title, runs in settings(results).items() if len(runs) > 1}
    errors = [np.array([run.metrics["test/mse"] for run in runs]) for runs in repeated.values()]
    published = [_published(runs[0]) for runs in repeated.values()]
    return {
        "setting": list(repeated),
        "seeds": [str(len(e)) for e in errors],
        "mean test": [f"{e.mean():.4f} ± {_half_interval(e):.4f}" for e in errors],
        "paper": ["" if p is None else f"{p:.4f}" for p in published],
        "diff": [
            "" if p is None else f"{e.mean() / p - 1:+.1%}"
            for e, p in zip(errors, published, strict=True)
        ],
    }


def markdown(table: Columns) -> str:
    """The table in Markdown."""
    rows = [list(table), ["---"] * len(table), *map(list, zip(*table.values(), strict=True))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def terminal(table: Columns) -> Table:
    """The table for rich to print."""
    shown = Table(title="mean squared error", box=SIMPLE)
    for position, heading in enumerate(table):
        shown.add_column(heading, justify="right" if position else "left")
    for row in zip(*table.values(), strict=True):
        shown.add_row(*row)
    return shown


def _published(result: Result) -> float | None:
    """The paper's test error at this width, on the paper's data."""
    if result.parameters["data"] != "fashion_mnist":
        return None
    return paper.TEST_MSE.get(int(result.parameters["hidden"]))


def _without_shared(names: Sequence[str]) -> list[str]:
    parts = [name.split() for name in names]
    shared = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    kept = [[p for p in name if p not in shared] or name for name in parts]
    return [" ".join(p.replace("hidden=", "n = ") for p in name) for name in kept]


def _half_interval(sample: NDArray[np.float64]) -> float:
    """Half the width of the 95 % interval of the mean of a normal sample."""
    quantile = stats.t.ppf(0.975, len(sample) - 1)
    return float(quantile * sample.std(ddof=1) / np.sqrt(len(sample)))
