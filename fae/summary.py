"""The numbers of a report: what the selected runs say, with n, spread and origin."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from fae import paper
from fae.diagnosis import GAP, Diagnosis, diagnose
from fae.selection import Apart, Record, Selection
from fae.statistics import Estimate, Verdict, estimate, paired, quartiles, verdict
from fae.tracking import StoredRun

Hardware = tuple[str, str]


@dataclass(frozen=True)
class Times:
    """Training times of the runs of a setting that ran alone, on one kind of machine.

    Attributes:
        low, median, high: quartiles of ``time/fit_s``, in seconds.
        n: runs that these are over.
        per_epoch: median of seconds an epoch.
        remark: why the times are not to be compared; None where they are.
    """

    low: float
    median: float
    high: float
    n: int
    per_epoch: float
    remark: str | None


@dataclass(frozen=True)
class RunRow:
    """One run of a setting, and what its curves say."""

    id: str
    seed: int
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
        below_pca: how far ``test`` lies below that, as a share of it.
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
    below_pca: float
    times: Times
    curves: str
    runs: list[RunRow]


@dataclass(frozen=True)
class Answer:
    """A question, whether it is so (None: cannot be told), and why in a sentence."""

    question: str
    holds: bool | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Two settings, seed by seed.

    Attributes:
        difference: test error of the first minus that of the second, paired by seed.
        distinguishable: whether the interval leaves out zero.
    """

    first: str
    second: str
    difference: Estimate
    distinguishable: bool
    sentence: str


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        mean_image: test error of the training images' mean, the data set's first.
        apart: runs that are not counted, each with the reason.
        never_began: runs that a sweep planned and the store does not know.
        origin: what made the numbers, heading to values.
    """

    name: str
    tolerance: float
    mean_image: float
    rows: list[Row]
    claims: list[Answer]
    comparisons: list[Comparison]
    apart: list[dict[str, str]]
    never_began: int
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
    crowded = _ran_beside_others(beside)
    settings = selection.settings()
    usual = Counter(map(_hardware, selection.records)).most_common(1)
    rows = []
    for title, records in settings.items():
        errors = pca(records[0])
        rows.append(
            _row(title, records, tolerance, errors, parameters(records[0]), crowded, usual[0][0])
        )
    return Summary(
        name=selection.name,
        tolerance=tolerance,
        mean_image=float(pca(selection.records[0])[0]) if selection.records else float("nan"),
        rows=rows,
        claims=[*_curves_claim(rows), *_time_claims(rows)],
        comparisons=_comparisons(rows),
        apart=[_apart(apart) for apart in selection.apart],
        never_began=selection.never_began,
        origin=_origin(selection.records),
    )


def families(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Settings that differ in the number of hidden units alone, by the rest of their title."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.others, []).append(row)
    return found


def _row(
    title: str,
    records: Sequence[Record],
    tolerance: float,
    pca: NDArray[np.float64],
    parameters: int,
    crowded: set[str],
    usual: Hardware,
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
        below_pca=1 - test.mean / linear if linear else float("-inf"),
        times=_times(records, crowded, usual),
        curves=_said(runs),
        runs=runs,
    )


def _run_row(record: Record) -> RunRow:
    dead = record.run.metrics.get("hidden/dead")
    found = diagnose(record.epochs, None if dead is None else int(dead))
    return RunRow(
        id=record.run.id,
        seed=record.seed,
        test=record.run.metrics["test/mse"],
        fit_s=record.run.metrics["time/fit_s"],
        diagnosis=found,
        words="; ".join(found.words()),
    )


def _said(runs: Sequence[RunRow]) -> str:
    """What the curves of a setting's runs say, each thing once."""
    found = [run.diagnosis for run in runs]
    falling = [d.slope for d in found if d.slope is not None and d.converged is False]
    slope = f"still falling at the last epoch (median {np.median(falling or [0]):.1%} an epoch)"
    counts = {
        "diverged": sum(d.diverged for d in found),
        slope: sum(d.converged is False and not d.diverged for d in found),
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


def _times(records: Sequence[Record], crowded: set[str], usual: Hardware) -> Times:
    alone = [record for record in records if record.run.id not in crowded]
    here = [record for record in alone if _hardware(record) == usual]
    remark = None
    if not alone:
        remark = "ran beside other runs"
    elif not here:
        remark = "other hardware"
    counted = here or alone or records
    seconds = [record.run.metrics["time/fit_s"] for record in counted]
    low, median, high = quartiles(seconds)
    per_epoch = [s / len(record.epochs) for s, record in zip(seconds, counted, strict=True)]
    return Times(low, median, high, len(counted), quartiles(per_epoch)[1], remark)


def _hardware(record: Record) -> Hardware:
    return record.run.tags.get("fae.device", ""), record.run.tags.get("fae.threads", "")


def _ran_beside_others(runs: Sequence[StoredRun]) -> set[str]:
    """Ids of the runs during which another run was going on, on the same host.

    A run without an end counts where it began; when its process died is not known.
    """
    crowded: set[str] = set()
    latest: dict[str, StoredRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        host = run.tags.get("fae.host", "")
        before = latest.get(host)
        if before and run.started < _end(before):
            crowded |= {before.id, run.id}
        if before is None or _end(run) > _end(before):
            latest[host] = run
    return crowded


def _end(run: StoredRun) -> int:
    return run.started if run.ended is None else run.ended


def _curves_claim(rows: Sequence[Row]) -> list[Answer]:
    if not rows:
        return []
    gaps = {row.title: max(run.diagnosis.largest_gap for run in row.runs) for row in rows}
    widest = max(gaps, key=lambda title: gaps[title])
    apart = [title for title, gap in gaps.items() if gap > GAP]
    runs = sum(len(row.runs) for row in rows)
    sentence = (
        f"no: validation leaves training by up to {gaps[widest]:.1%} ({widest}), "
        f"and by more than {GAP:.0%} for {', '.join(apart)}"
        if apart
        else f"yes: after every epoch of all {runs} runs validation lies within "
        f"{gaps[widest]:.1%} of training ({widest} is the widest; {GAP:.0%} would be a no)"
    )
    return [Answer("Are the training and validation curves almost identical?", not apart, sentence)]


def _time_claims(rows: Sequence[Row]) -> list[Answer]:
    return [
        _time_claim(f" with {others}" if others else "", family)
        for others, family in families(rows).items()
        if len(family) > 1
    ]


def _time_claim(where: str, family: Sequence[Row]) -> Answer:
    question = f"Does the training time grow with n{where}?"
    times = [row.times for row in family]
    if remarks := {t.remark for t in times if t.remark}:
        return Answer(question, None, f"cannot be told: some {' and '.join(sorted(remarks))}")
    shown = family if len(family) <= 6 else [family[0], family[-1]]
    medians = ", ".join(f"{row.times.median:.3g}" for row in shown)
    told = f"{medians} s for n = {', '.join(str(row.hidden) for row in shown)}"
    pairs = list(pairwise(times))
    if not all(a.median < b.median for a, b in pairs):
        return Answer(question, False, f"no, not from each n to the next: {told}")
    if min(t.n for t in times) < 3:
        return Answer(question, None, f"it seems so: {told}, yet of too few runs each to be sure")
    if not all(a.high < b.low for a, b in pairs):
        return Answer(question, None, f"it seems so: medians {told}, yet the quartiles overlap")
    return Answer(question, True, f"yes: medians {told}; no two quartile ranges overlap")


def _comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Settings of equal n with each other, and each with its neighbour in n."""
    neighbours = [pair for family in families(rows).values() for pair in pairwise(family)]
    equals = [(a, b) for a, b in combinations(rows, 2) if a.hidden == b.hidden]
    return [found for a, b in [*equals, *neighbours] if (found := _compare(a, b))]


def _compare(first: Row, second: Row) -> Comparison | None:
    errors = [{run.seed: run.test for run in row.runs} for row in (first, second)]
    seeds = sorted(errors[0].keys() & errors[1].keys())
    if len(seeds) < 2:
        return None
    difference = paired(*([of[seed] for seed in seeds] for of in errors))
    assert difference.low is not None
    assert difference.high is not None
    distinguishable = difference.low > 0 or difference.high < 0
    lower, other = (first, second) if difference.mean < 0 else (second, first)
    size = (
        f"{abs(difference.mean):.4f} ± {difference.half:.4f} "
        f"({abs(difference.mean) / other.test.mean:.1%})"
    )
    sentence = (
        f"{lower.title} has a lower test error than {other.title}, by {size}: beyond seed noise"
        if distinguishable
        else f"{first.title} and {second.title} differ by {size}: not distinguishable with "
        f"{len(seeds)} seeds"
    )
    return Comparison(first.title, second.title, difference, distinguishable, sentence)


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
