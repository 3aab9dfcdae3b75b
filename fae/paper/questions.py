"""The questions that the paper leaves open, and how each is answered from evidence."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fae.drawing.chart import Chart, Series
from fae.drawing.tables import Columns
from fae.paper.comparing import (
    at_each_n,
    best,
    by_n,
    compared,
    difference,
    grid,
    lines,
    listed,
    matrix,
    verdict,
)
from fae.paper.evidence import BEST, PAPER, SIZES, Evidence
from fae.reports import charts, table
from fae.runtime.formatting import format_error, format_interval
from fae.runtime.intervals import Estimate
from fae.tuning.results import columns, errors_by_value
from fae.tuning.space import Range

ADAM = "optimizer=adam"


@dataclass(frozen=True)
class Answer:
    """A question, and its answer from the store.

    Attributes:
        commands: commands of the experiments that answer it.
        sentences: the answer, or why there is none; the first sentence is a summary.
        tables, charts: the evidence.
    """

    commands: Sequence[str]
    sentences: Sequence[str]
    tables: Sequence[Columns] = ()
    charts: Sequence[Chart] = ()
    question: str = ""


def _optimizers(evidence: Evidence) -> Answer:
    """Each optimizer at its own best learning rate, as found by a study."""
    sgd, adam = evidence.studies(), evidence.studies(ADAM)
    default = evidence.settings("experiment=adam")
    comparisons = {
        n: compared(
            f"n = {n}: Adam at {adam[n].best.name}",
            evidence.tests(adam[n]),
            f"SGD at {sgd[n].best.name}",
            evidence.tests(sgd[n]),
        )
        for n in SIZES
    }
    errors = {
        "SGD, lr=0.5": by_n(s for s in default if s.config_key["optimizer.name"] == "sgd"),
        "Adam, lr=0.001": by_n(s for s in default if s.config_key["optimizer.name"] == "adam"),
        **_at_best_rates(evidence),
    }
    return Answer(
        [evidence.search(), evidence.search(ADAM), evidence.train("experiment=adam")],
        [
            f"{at_each_n('Adam reaches the lower test error', comparisons)}, each optimizer at "
            "its best learning rate, after the same number of epochs.",
            *(f"{comparison.sentence}." for comparison in comparisons.values()),
        ],
        [_beside_pca(errors, evidence)],
        [_chart_beside_pca("adam", errors, evidence)],
    )


def _learning_rates(evidence: Evidence) -> Answer:
    """A grid of learning rates with several seeds each, and the trials of the studies."""
    rates = grid(evidence.settings("experiment=lr"), "lr")
    lowest = {n: best(of_lr) for n, of_lr in rates.items()}
    common = sorted(set.intersection(*map(set, lowest.values())))
    papers = by_n(evidence.paper.rows)
    studies = {"sgd": evidence.studies(), "adam": evidence.studies(ADAM)}
    sentences = [
        f"Whether it depends on n cannot be determined: of the rates that were tried for SGD, "
        f"{listed(common)} cannot be distinguished from the best at any n."
        if common
        else "It depends on n: each rate that was tried is worse than the best at some n.",
        "Lowest validation error for SGD, or not distinguishable from it by runs with the same "
        f"seeds: {'; '.join(f'{listed(sorted(lowest[n]))} at n = {n}' for n in rates)}.",
    ]
    tables = [matrix(rates, "lr")]
    drawn = [charts.errors_against("lr", "learning rate", lines(rates), logarithmic=True)]
    for name, of_n in studies.items():
        results = list(of_n.values())
        found = ", ".join(result.best.name.removeprefix("lr=") for result in results)
        sentences.append(f"Studies of {name} found {found} for n = {listed(list(of_n))}.")
        beside = {
            "test error with the paper's settings": [format_interval(papers[n]) for n in of_n]
        }
        tables.append({**columns(results), **beside})
        ranges = (dimension for dimension in results[0].space if isinstance(dimension, Range))
        drawn += [errors_by_value(results, dimension, name) for dimension in ranges]
    commands = [evidence.train("experiment=lr"), evidence.search(), evidence.search(ADAM)]
    return Answer(commands, sentences, tables, drawn)


def _dropout(evidence: Evidence) -> Answer:
    rates = grid(evidence.settings("experiment=dropout"), "dropout")
    comparisons = {
        rate: {
            n: compared(f"n = {n}: dropout={rate:g}", of[rate].errors, "none", of[0.0].errors)
            for n, of in rates.items()
        }
        for rate in sorted(rates[SIZES[0]])[1:]
    }
    lower = Counter(verdict(c) for of_n in comparisons.values() for c in of_n.values())
    differences = {
        f"dropout={rate:g} minus none": [
            difference(comparison, rates[n][0.0].test.mean) for n, comparison in of_n.items()
        ]
        for rate, of_n in comparisons.items()
    }
    return Answer(
        [evidence.train("experiment=dropout")],
        [
            f"Of {lower.total()} comparisons with no dropout, at each n by runs with the same "
            f"seeds, the test error is lower beyond seed noise in {lower['yes']}, higher in "
            f"{lower['no']}, and not distinguishable in {lower['cannot be determined']}.",
            *(
                f"{at_each_n(f'dropout={rate:g} lowers the test error', of_n)}."
                for rate, of_n in comparisons.items()
            ),
        ],
        [matrix(rates, "dropout"), {"n": [str(n) for n in rates], **differences}],
        [charts.errors_against("dropout", "dropout", lines(rates), logarithmic=False)],
    )


def _times(evidence: Evidence) -> Answer:
    summary = evidence.paper
    (time,) = (claim for claim in summary.claims if "time" in claim.question)
    first, *_, last = summary.rows
    sentences = [f"{time.sentence[:1].upper()}{time.sentence[1:]}."]
    if first.published_s and last.published_s:
        sentences.append(
            f"From n = {first.hidden} to n = {last.hidden} it grows by a factor of "
            f"{last.times.median / first.times.median:.1f}; in the paper, where images were loaded "
            f"one by one, by a factor of {last.published_s / first.published_s:.2f}."
        )
    shown = [table.details(summary)], [charts.times_by_size(summary)]
    return Answer([evidence.train(PAPER)], sentences, *shown)


def _distances(evidence: Evidence) -> Answer:
    """All experiments with one hidden layer, compared with PCA."""
    papers, presets = by_n(evidence.paper.rows), by_n(evidence.settings(BEST))
    errors = {
        "the paper's settings": papers,
        **_at_best_rates(evidence),
        "experiment=best/n": presets,
    }
    shares = {
        n: (presets[n].mean / pca, (presets[n].half or 0) / pca) for n, pca in evidence.pca.items()
    }
    times = [papers[n].mean / evidence.pca[n] for n in SIZES]
    below = [f"{1 - share:.1%} ± {half:.1%}" for share, half in shares.values()]
    return Answer(
        [evidence.train(PAPER), evidence.train(BEST)],
        [
            f"The test errors are {listed(times, '.2g')} times those of PCA with n components for "
            f"n = {listed(SIZES)} with the paper's settings, and "
            f"{listed([share for share, _ in shares.values()], '.2f')} times with "
            "experiment=best/n, which also has one hidden layer and the same number of epochs."
        ],
        [{**_beside_pca(errors, evidence), "best below PCA": below}],
        [_chart_beside_pca("pca", errors, evidence)],
    )


def _depth(evidence: Evidence) -> Answer:
    (deep,) = evidence.settings("experiment=depth")
    (shallow,) = (s for s in evidence.settings(BEST) if s.hidden == deep.hidden)
    n, pca = deep.hidden, evidence.pca[deep.hidden]
    comparison = compared(
        f"n = {n}: experiment=depth", deep.errors, f"experiment=best/{n}", shallow.errors
    )
    widths = listed(deep.config_key["model.widths"])
    networks = {
        "one hidden layer": format_interval(shallow.test),
        f"one more of {widths} units on both sides": format_interval(deep.test),
        "PCA": format_error(pca),
    }
    return Answer(
        [evidence.train("experiment=depth"), evidence.train(BEST)],
        [
            f"At n = {n} the error is {deep.test.mean / shallow.test.mean:.2f} times that of "
            f"experiment=best/{n}, and {deep.test.mean / pca:.2f} times PCA's.",
            f"{comparison.sentence}.",
        ],
        [{"network": list(networks), "test error": list(networks.values())}],
    )


QUESTIONS: Mapping[str, Callable[[Evidence], Answer]] = {
    "Is Adam better than SGD?": _optimizers,
    "Which learning rate is best for each n, and does it depend on n?": _learning_rates,
    "Does dropout help, and how much of it?": _dropout,
    "Does the training time grow with n, once loading is out of the way?": _times,
    "How far are the networks from PCA?": _distances,
    "What does depth buy?": _depth,
}


def _at_best_rates(evidence: Evidence) -> dict[str, dict[int, Estimate]]:
    """Test errors by n of the best configurations that studies found."""
    return {
        "SGD, its best rate": by_n(evidence.studies().values()),
        "Adam, its best rate": by_n(evidence.studies(ADAM).values()),
    }


def _beside_pca(errors: Mapping[str, Mapping[int, Estimate]], evidence: Evidence) -> Columns:
    """Table of test errors: one row per n, one column per line, and PCA in the last column."""
    return {
        "n": [str(n) for n in SIZES],
        **{name: [format_interval(of_n[n]) for n in SIZES] for name, of_n in errors.items()},
        "PCA": [format_error(evidence.pca[n]) for n in SIZES],
    }


def _chart_beside_pca(
    name: str, errors: Mapping[str, Mapping[int, Estimate]], evidence: Evidence
) -> Chart:
    linear = Series("PCA", list(evidence.pca), list(evidence.pca.values()), "dashed", None)
    return charts.errors_against(name, "hidden units n", errors, logarithmic=True, others=[linear])
