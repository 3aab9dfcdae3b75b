"""The numbers of a report: what the selected runs say, with n, spread and origin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fae import paper
from fae.answers import Answer, Comparison, answers, comparisons
from fae.diagnosis import Diagnosis, diagnose
from fae.selection import Apart, Record, Selection
from fae.statistics import Estimate, Verdict, estimate, verdict
from fae.timing import Timekeeper, Times
from fae.tracking import StoredRun


@dataclass(frozen=True)
class RunRow:
    """One run of a setting, and what its curves say."""

    id: str
    seed: int
    commit: str
    test: float
    fit_s: float
    diagnosis: Diagnosis
    words: str


@dataclass(frozen=True)
class Row:
    """One setting, over its seeds.

    Attributes:
        title: what sets it apart, ``n = 64``.
        others: the part of the title that is not the number of hidden units.
        test: mean squared error over the test images; mean over seeds.
        train, val: the same of the tested epoch, mean over seeds.
        published, published_s: the paper's error and time.
        difference: of ``test`` from the paper's, as a share of the latter.
        parameters: weights and biases of the network.
        pca: test error of as many principal components.
        below_pca: how far ``test`` lies below that, as a share of it; None where it is 0.
        curves: what the curves say, for how many of the runs.
    """

    title: str
    hidden: int
    others: str
    test: Estimate
    train: float
    val: float
    published: float | None
    published_s: float | None
    difference: float | None
    verdict: Verdict | None
    parameters: int
    pca: float
    below_pca: float | None
    times: Times
    curves: str
    runs: list[RunRow]


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        mean_image: test error of the mean of the training images (the first row's).
        apart: runs that are not counted, each with the reason.
        missing: runs that the sweeps planned and the store does not have.
        incomplete: whether a run is missing or apart without another in its place.
        origin: what made the numbers, heading to values.
    """

    name: str
    tolerance: float
    mean_image: float
    rows: list[Row]
    claims: list[Answer]
    comparisons: list[Comparison]
    apart: list[dict[str, str]]
    missing: int
    incomplete: bool
    origin: dict[str, list[str]]


def summarise(
    selection: Selection,
    *,
    tolerance: float,
    beside: Sequence[StoredRun],
    pca: Callable[[Record], NDArray[np.float64]],
    parameters: Callable[[Record], int],
) -> Summary:
    """Work out the numbers.

    Args:
        tolerance: of the verdict, a share.
        beside: all runs of the store, to tell which ran at the same time.
        pca: test errors of PCA on a record's data, by the number of components.
        parameters: of a record's network.
    """
    timekeeper = Timekeeper(selection.records, beside)
    rows = [
        _row(title, records, tolerance, pca(records[0]), parameters(records[0]), timekeeper)
        for title, records in selection.settings().items()
    ]
    return Summary(
        name=selection.name,
        tolerance=tolerance,
        mean_image=float(pca(selection.records[0])[0]),
        rows=rows,
        claims=answers(rows),
        comparisons=comparisons(rows),
        apart=[_apart(apart) for apart in selection.apart],
        missing=selection.missing,
        incomplete=selection.missing > 0 or not all(a.replaced for a in selection.apart),
        origin=_origin(selection.records),
    )


def _row(
    title: str,
    records: Sequence[Record],
    tolerance: float,
    pca: NDArray[np.float64],
    parameters: int,
    timekeeper: Timekeeper,
) -> Row:
    first = records[0]
    hidden = int(first.config["hidden"])
    test = estimate([record.run.metrics["test/mse"] for record in records])
    published = (
        paper.RESULTS.get(hidden) if first.config["data"]["name"] == "fashion_mnist" else None
    )
    linear = float(pca[min(hidden, len(pca) - 1)])
    runs = [_run_row(record) for record in records]
    return Row(
        title=title,
        hidden=hidden,
        others=title.removeprefix(f"n = {hidden}").strip(),
        test=test,
        train=float(np.mean([record.tested["train/mse"] for record in records])),
        val=float(np.mean([record.tested["val/mse"] for record in records])),
        published=published.test_mse if published else None,
        published_s=published.seconds if published else None,
        difference=test.mean / published.test_mse - 1 if published else None,
        verdict=verdict(test, published.test_mse, tolerance) if published else None,
        parameters=parameters,
        pca=linear,
        below_pca=1 - test.mean / linear if linear else None,
        times=timekeeper.times(records),
        curves=_said(runs),
        runs=runs,
    )


def _run_row(record: Record) -> RunRow:
    dead = record.run.metrics.get("hidden/dead")
    found = diagnose(record.epochs, None if dead is None else int(dead))
    return RunRow(
        id=record.run.id,
        seed=record.seed,
        commit=_commit(record.run.tags),
        test=record.run.metrics["test/mse"],
        fit_s=record.run.metrics["time/fit_s"],
        diagnosis=found,
        words="; ".join(found.words()),
    )


def _said(runs: Sequence[RunRow]) -> str:
    """What the curves of a setting's runs say, each thing once."""
    found = [run.diagnosis for run in runs]
    moving = [d for d in found if d.converged is False and not d.diverged]
    slopes = {
        way: [d.slope for d in moving if d.moving == way and d.slope is not None]
        for way in ("falling", "rising")
    }
    counts = {
        "diverged": sum(d.diverged for d in found),
        **{
            f"still {way} at the last epoch (median {np.median(s or [0]):+.1%} an epoch)": len(s)
            for way, s in slopes.items()
        },
        "converged": sum(d.converged is True for d in found),
        "too short to tell whether converged": sum(d.converged is None for d in found),
        "over-fitted": sum(d.overfitted for d in found),
        "best epoch not the last": sum(d.best_epoch < d.epochs for d in found),
        "dead hidden units": sum(bool(d.dead) for d in found),
    }
    everywhere = {phrase: count for phrase, count in counts.items() if count}
    return "; ".join(
        phrase if count == len(runs) == 1 else f"{count} of {len(runs)}: {phrase}"
        for phrase, count in everywhere.items()
    )


def _apart(apart: Apart) -> dict[str, str]:
    run = apart.run
    return {"id": run.id, "name": run.name, "status": run.status, "reason": apart.reason}


def _origin(records: Sequence[Record]) -> dict[str, list[str]]:
    def distinct(describe: Callable[[Mapping[str, str]], str]) -> list[str]:
        return list(dict.fromkeys(describe(record.run.tags) for record in records))

    def tag(name: str) -> list[str]:
        return distinct(lambda tags: tags.get(f"fae.{name}", "unknown"))

    return {
        "commit": distinct(_commit),
        "data digest": tag("data_digest"),
        "hardware": distinct(
            lambda tags: f"{tags.get('fae.device')}, {tags.get('fae.threads')} threads"
        ),
        "Python": tag("python"),
        "PyTorch": tag("torch"),
        "Lightning": tag("lightning"),
    }


def _commit(tags: Mapping[str, str]) -> str:
    changed = ", with uncommitted changes" if tags.get("fae.dirty") == "true" else ""
    return tags.get("fae.commit", "unknown") + changed
