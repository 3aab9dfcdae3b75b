"""The questions that the paper leaves open, and how each is answered from evidence."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fae.drawing import looks
from fae.drawing.chart import Axis, Chart
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
    looks_of,
    matrix,
    span,
    verdict,
)
from fae.paper.evidence import BEST, PAPER, SIZES, Evidence
from fae.reports import charts, table
from fae.runtime.formatting import format_error, format_interval, format_share
from fae.runtime.intervals import Estimate
from fae.tuning.charts import errors_by_value
from fae.tuning.results import columns
from fae.tuning.space import Range

ADAM = "optimizer=adam"
PAPERS, PAPERS_RATE, ADAMS_RATE = "the paper's settings", "SGD, lr=0.5", "Adam, lr=0.001"
BEST_SGD, BEST_ADAM = "SGD, its best rate", "Adam, its best rate"
FOUND, DEEPER = "best with one hidden layer", "with one more layer on both sides"
LOOKS = {
    **looks.apart((PAPERS, ADAMS_RATE, BEST_SGD, BEST_ADAM, FOUND, DEEPER)),
    PAPERS_RATE: looks.apart([PAPERS])[PAPERS],
}
"""Of settings in charts, the same in all of them."""
DEPTH = {"yes": "a lower error", "no": "no lower error", "cannot be determined": "nothing certain"}


@dataclass(frozen=True)
class Answer:
    """A question, and its answer from the store.

    Attributes:
        commands: commands of the experiments that answer it.
        sentences: the answer, or why there is none; the first sentence is a summary.
        tables, charts: the evidence.
        short: the answer in a few words.
        effect: how much it matters, in numbers.
    """

    commands: Sequence[str]
    sentences: Sequence[str]
    tables: Sequence[Columns] = ()
    charts: Sequence[Chart] = ()
    question: str = ""
    short: str = ""
    effect: str = ""


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
        PAPERS_RATE: by_n(s for s in default if s.config_key["optimizer.name"] == "sgd"),
        ADAMS_RATE: by_n(s for s in default if s.config_key["optimizer.name"] == "adam"),
        **_at_best_rates(evidence),
    }
    return Answer(
        [evidence.search(), evidence.search(ADAM), evidence.train("experiment=adam")],
        [
            f"Adam reaches the lower test error: {at_each_n(comparisons)}, each optimizer at its "
            "best learning rate, after the same number of epochs.",
            *(f"{comparison.sentence}." for comparison in comparisons.values()),
        ],
        [_beside_pca(errors, evidence)],
        [_chart_beside_pca("adam", errors, evidence)],
        short=f"{at_each_n(comparisons)}, each at its best learning rate",
        effect=f"test error {span([adam[n].test.mean / sgd[n].test.mean - 1 for n in SIZES])}",
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
    x = Axis(charts.label("lr"), log=True)
    drawn = [charts.errors_against("lr", x, lines(rates), look=looks_of(rates))]
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
    gains = [result.test.mean / papers[n].mean - 1 for n, result in studies["sgd"].items()]
    return Answer(
        [evidence.train("experiment=lr"), evidence.search(), evidence.search(ADAM)],
        sentences,
        tables,
        drawn,
        short=f"cannot be determined: SGD at {listed(common, join=' or ')} is not distinguishable "
        "from its best at any n"
        if common
        else "for SGD it depends on n",
        effect=f"SGD at its best rate, not the paper's: test error {span(gains)}",
    )


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
    tried = list(comparisons)
    changes = [of[tried[0]].test.mean / of[0.0].test.mean - 1 for of in rates.values()]
    return Answer(
        [evidence.train("experiment=dropout")],
        [
            f"Of {lower.total()} comparisons with no dropout, at each n by runs with the same "
            f"seeds, the test error is lower beyond seed noise in {lower['yes']}, higher in "
            f"{lower['no']}, and not distinguishable in {lower['cannot be determined']}.",
            *(
                f"dropout={rate:g} lowers the test error: {at_each_n(of_n)}."
                for rate, of_n in comparisons.items()
            ),
        ],
        [matrix(rates, "dropout"), {"n": [str(n) for n in rates], **differences}],
        [charts.errors_against("dropout", Axis("dropout"), lines(rates), look=looks_of(rates))],
        short=f"it lowers the test error in {lower['yes']} of {lower.total()} comparisons, and "
        f"raises it in {lower['no']}",
        effect=f"dropout={tried[0]:g} instead of none: test error {span(changes)}",
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
    return Answer(
        [evidence.train(PAPER)],
        sentences,
        [table.details(summary)],
        [charts.times_by_size(summary)],
        short={True: "yes", False: "no", None: "cannot be determined"}[time.holds],
        effect=f"{first.times.median:.3g} s for n = {first.hidden}, "
        f"{last.times.median:.3g} s for n = {last.hidden}",
    )


def _distances(evidence: Evidence) -> Answer:
    """All experiments with one hidden layer, compared with PCA."""
    papers, presets = by_n(evidence.paper.rows), by_n(evidence.settings(BEST))
    errors = {PAPERS: papers, **_at_best_rates(evidence)}
    pca = evidence.pca
    shares = [presets[n].mean / pca[n] for n in SIZES]
    halves = [(presets[n].half or 0) / pca[n] for n in SIZES]
    times = [papers[n].mean / pca[n] for n in SIZES]
    below = [
        f"{100 * (1 - share):.1f} ± {format_share(half)}"
        for share, half in zip(shares, halves, strict=True)
    ]
    compared = _beside_pca({**errors, "experiment=best/n": presets}, evidence)
    return Answer(
        [evidence.train(PAPER), evidence.train(BEST)],
        [
            f"The test errors are {listed(times, '.2g')} times those of PCA with n components for "
            f"n = {listed(SIZES)} with the paper's settings, and "
            f"{listed(shares, '.2f')} times with "
            "experiment=best/n, which also has one hidden layer and the same number of epochs."
        ],
        [{**compared, "best below PCA": below}],
        [_chart_beside_pca("pca", {**errors, FOUND: presets}, evidence)],
        short="far above it with the paper's settings, below it with experiment=best/n"
        if min(times) > 1 > max(shares)
        else "it depends on the settings",
        effect=f"{min(times):.2g} to {max(times):.2g} times PCA's error with the paper's settings, "
        f"{min(shares):.2f} to {max(shares):.2f} times with experiment=best/n",
    )


def _depth(evidence: Evidence) -> Answer:
    (deep,) = evidence.settings("experiment=depth")
    presets = {setting.hidden: setting for setting in evidence.settings(BEST)}
    shallow = presets[deep.hidden]
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
        [
            _chart_beside_pca(
                "depth", {FOUND: by_n(presets.values()), DEEPER: {n: deep.test}}, evidence
            )
        ],
        short=f"{DEPTH[verdict(comparison)]} at n = {n}, with one more layer of {widths} units on "
        "both sides",
        effect=f"test error {format_share(deep.test.mean / shallow.test.mean - 1, '+.0f')}, "
        f"{deep.test.mean / pca:.2f} times PCA's",
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
        BEST_SGD: by_n(evidence.studies().values()),
        BEST_ADAM: by_n(evidence.studies(ADAM).values()),
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
    x, linear = Axis(charts.label("hidden"), log=True), charts.pca_curve(evidence.pca, SIZES)
    return charts.errors_against(name, x, errors, look=LOOKS, others=[linear])
