"""The paper's open questions, answered from stored runs; reads the store, trains nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from fae.data.config import DataConfig
from fae.drawing import figures
from fae.drawing.chart import Chart, Series
from fae.drawing.tables import Columns, as_markdown
from fae.errors import StoreError
from fae.paper.evidence import BEST, PAPER, SIZES, Evidence, MissingError
from fae.reports import charts, table
from fae.reports.claims import Comparison, claims, compare
from fae.reports.settings import Setting
from fae.runtime.formatting import format_error, format_interval, format_with_interval
from fae.runtime.intervals import Estimate
from fae.tracking.config import TrackingConfig
from fae.tuning.results import SearchResult, columns, errors_by_value
from fae.tuning.space import Range

INTRODUCTION = """# The paper's open questions

`python -m fae.answers docs` generates this page from the store; no number is typed in.
Errors are test errors: means over seeds, the number of seeds in brackets, with 95 % intervals
(Student's t). Settings are compared by pairs of runs with the same seed. A study selects by the
validation error of one seed; the selected configuration is then trained with five other seeds, and
tested.
"""


@dataclass(frozen=True)
class Answer:
    """A question, and its answer from the store.

    Attributes:
        commands: commands of the experiments that answer it.
        sentences: the answer, or why there is none; the first sentence is a summary.
        tables, charts: the evidence.
    """

    question: str
    commands: Sequence[str]
    sentences: Sequence[str]
    tables: Sequence[Columns] = ()
    charts: Sequence[Chart] = ()


def answer(tracking: TrackingConfig, data: DataConfig, overrides: Sequence[str]) -> list[Answer]:
    """Answer each question, or name the command to run for an answer.

    Args:
        tracking, data, overrides: as for ``Evidence``.

    Raises:
        StoreError: there is no store, or it cannot be read.
        DataError: the data set is not available.
    """
    evidence = Evidence(tracking, data, overrides)
    return [_ask(question, how, evidence) for question, how in QUESTIONS.items()]


def write(answers: Sequence[Answer], folder: Path) -> Path:
    """Write the page and its figures; returns the page's path."""
    pictures = folder / "answers"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = []
    for answer in answers:
        drawn = []
        for chart in answer.charts:
            figures.draw(chart).savefig(pictures / f"{chart.name}.png", dpi=110)
            drawn.append(f"![{chart.y_label} against {chart.x_label}](answers/{chart.name}.png)\n")
        parts += [
            f"## {answer.question}\n",
            f"**{answer.sentences[0]}**\n",
            *(f"{sentence}\n" for sentence in answer.sentences[1:]),
            *(["\n".join(["```bash", *answer.commands, "```\n"])] if answer.commands else []),
            *map(as_markdown, answer.tables),
            *drawn,
        ]
    page = folder / "answers.md"
    page.write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")
    return page


def _ask(question: str, how: Callable[[Evidence], Answer], evidence: Evidence) -> Answer:
    """The answer to a question, or why there is none; one failure does not affect the others."""
    try:
        given = how(evidence)
    except MissingError as missing:
        return Answer(question, [missing.command], ["Not tried yet.", *missing.left_out])
    except StoreError as problem:
        return Answer(question, [], [f"Cannot be determined: {problem}."])
    except (LookupError, ValueError, ArithmeticError):  # settings are missing or unexpected
        excluded = [sentence for those in evidence.unreadable.values() for sentence in those]
        summary = "Cannot be determined from the settings in the store."
        return Answer(question, [], [summary, *excluded])
    excluded = [s for command in given.commands for s in evidence.unreadable.get(command, [])]
    return replace(given, question=question, sentences=[*given.sentences, *excluded])


def _optimizers(evidence: Evidence) -> Answer:
    """Each optimizer at its own best learning rate, as found by a study."""
    sgd, adam = evidence.studies(), evidence.studies("optimizer=adam")
    default = evidence.settings("experiment=adam")
    comparisons = {
        n: _compared(
            f"n = {n}: Adam at {adam[n].best.name}",
            evidence.tests(adam[n]),
            f"SGD at {sgd[n].best.name}",
            evidence.tests(sgd[n]),
        )
        for n in SIZES
    }
    lines = {
        "SGD, lr=0.5": _by_size(default, "optimizer.name", "sgd"),
        "Adam, lr=0.001": _by_size(default, "optimizer.name", "adam"),
        "SGD, its best rate": {n: study.test for n, study in sgd.items()},
        "Adam, its best rate": {n: study.test for n, study in adam.items()},
    }
    return Answer(
        "",
        [evidence.search(), evidence.search("optimizer=adam"), evidence.train("experiment=adam")],
        [
            f"{_at_each_n('Adam reaches the lower test error', comparisons)}, each optimizer at "
            "its best learning rate, after the same number of epochs.",
            *(f"{comparison.sentence}." for comparison in comparisons.values()),
        ],
        [_by_n(lines, evidence)],
        [_chart_by_size("adam", lines, evidence)],
    )


def _learning_rates(evidence: Evidence) -> Answer:
    """A grid of learning rates with several seeds each, and the trials of the studies."""
    grid = _grid(evidence.settings("experiment=lr"), "lr")
    best = {n: _best(of_lr) for n, of_lr in grid.items()}
    common = sorted(set.intersection(*map(set, best.values())))
    papers = {row.hidden: row.test for row in evidence.paper.rows}
    studies = {"sgd": evidence.studies(), "adam": evidence.studies("optimizer=adam")}
    lines = {f"n = {n}": _tests(of_lr) for n, of_lr in grid.items()}
    return Answer(
        "",
        [evidence.train("experiment=lr"), evidence.search(), evidence.search("optimizer=adam")],
        [
            f"Whether it depends on n cannot be determined: of the rates that were tried for SGD, "
            f"{_listed(common)} cannot be distinguished from the best at any n."
            if common
            else "It depends on n: each rate that was tried is worse than the best at some n.",
            "Lowest validation error for SGD, or not distinguishable from it by runs with the same "
            f"seeds: {'; '.join(f'{_listed(sorted(best[n]))} at n = {n}' for n in grid)}.",
            *(_best_rates(name, of_n) for name, of_n in studies.items()),
        ],
        [
            _matrix(grid, "lr"),
            *(
                {
                    **columns(list(of_n.values())),
                    "test error with the paper's settings": [
                        format_interval(papers[n]) for n in of_n
                    ],
                }
                for of_n in studies.values()
            ),
        ],
        [
            charts.errors_against("lr", "learning rate", lines, logarithmic=True),
            *(
                errors_by_value(list(of_n.values()), dimension, name)
                for name, of_n in studies.items()
                for dimension in of_n[SIZES[0]].space
                if isinstance(dimension, Range)
            ),
        ],
    )


def _dropout(evidence: Evidence) -> Answer:
    grid = _grid(evidence.settings("experiment=dropout"), "dropout")
    rates = sorted(grid[SIZES[0]])[1:]
    comparisons = {
        rate: {
            n: _compared(f"n = {n}: dropout={rate:g}", of[rate].errors, "none", of[0.0].errors)
            for n, of in grid.items()
        }
        for rate in rates
    }
    signs = Counter(_sign(c) for of_n in comparisons.values() for c in of_n.values())
    lines = {f"n = {n}": _tests(of_rate) for n, of_rate in grid.items()}
    return Answer(
        "",
        [evidence.train("experiment=dropout")],
        [
            f"Of {signs.total()} comparisons with no dropout, at each n by runs with the same "
            f"seeds, the test error is lower beyond seed noise in {signs[-1]}, higher in "
            f"{signs[1]}, and not distinguishable in {signs[0]}.",
            *(
                f"{_at_each_n(f'dropout={rate:g} lowers the test error', of_n)}."
                for rate, of_n in comparisons.items()
            ),
        ],
        [
            _matrix(grid, "dropout"),
            {
                "n": [str(n) for n in grid],
                **{
                    f"dropout={rate:g} minus none": [
                        _difference(comparison, grid[n][0.0].test.mean)
                        for n, comparison in of_n.items()
                    ]
                    for rate, of_n in comparisons.items()
                },
            },
        ],
        [charts.errors_against("dropout", "dropout", lines, logarithmic=False)],
    )


def _times(evidence: Evidence) -> Answer:
    rows = evidence.paper.rows
    (time,) = (claim for claim in claims(rows) if "time" in claim.question)
    first, *_, last = rows
    sentences = [f"{time.sentence[:1].upper()}{time.sentence[1:]}."]
    if first.published_s and last.published_s:
        sentences.append(
            f"From n = {first.hidden} to n = {last.hidden} it grows by a factor of "
            f"{last.times.median / first.times.median:.1f}; in the paper, where images were loaded "
            f"one by one, by a factor of {last.published_s / first.published_s:.2f}."
        )
    return Answer(
        "",
        [evidence.train(PAPER)],
        sentences,
        [table.details(evidence.paper)],
        [charts.times_by_size(evidence.paper)],
    )


def _distances(evidence: Evidence) -> Answer:
    """All experiments with one hidden layer, compared with PCA."""
    best = {setting.hidden: setting.test for setting in evidence.settings(BEST)}
    papers = {row.hidden: row.test for row in evidence.paper.rows}
    lines = {
        "the paper's settings": papers,
        "SGD, its best rate": {n: study.test for n, study in evidence.studies().items()},
        "Adam, its best rate": {
            n: study.test for n, study in evidence.studies("optimizer=adam").items()
        },
        "experiment=best/n": best,
    }
    times = [papers[n].mean / evidence.pca[n] for n in SIZES]
    below = [1 - best[n].mean / evidence.pca[n] for n in SIZES]
    halves = [(best[n].half or 0) / evidence.pca[n] for n in SIZES]
    shown = {
        **_by_n(lines, evidence),
        "best below PCA": [f"{b:.1%} ± {h:.1%}" for b, h in zip(below, halves, strict=True)],
    }
    return Answer(
        "",
        [evidence.train(name) for name in (PAPER, BEST)],
        [
            f"The test errors are {_listed(times, '.2g')} times those of PCA with n components for "
            f"n = {_listed(SIZES)} with the paper's settings, and "
            f"{_listed([1 - share for share in below], '.2f')} times with experiment=best/n, which "
            "also has one hidden layer and the same number of epochs."
        ],
        [shown],
        [_chart_by_size("pca", lines, evidence)],
    )


def _depth(evidence: Evidence) -> Answer:
    (deep,) = evidence.settings("experiment=depth")
    (shallow,) = (s for s in evidence.settings(BEST) if s.hidden == deep.hidden)
    comparison = _compared(
        f"n = {deep.hidden}: experiment=depth",
        deep.errors,
        f"experiment=best/{deep.hidden}",
        shallow.errors,
    )
    widths = _listed(deep.config_key["model.widths"])
    shown = {
        "network": ["one hidden layer", f"one more of {widths} units on both sides", "PCA"],
        "test error": [
            format_interval(shallow.test),
            format_interval(deep.test),
            format_error(evidence.pca[deep.hidden]),
        ],
    }
    return Answer(
        "",
        [evidence.train(name) for name in ("experiment=depth", BEST)],
        [
            f"At n = {deep.hidden} the error is "
            f"{deep.test.mean / shallow.test.mean:.2f} times that of "
            f"experiment=best/{deep.hidden}, and "
            f"{deep.test.mean / evidence.pca[deep.hidden]:.2f} times PCA's.",
            f"{comparison.sentence}.",
        ],
        [shown],
    )


QUESTIONS: Mapping[str, Callable[[Evidence], Answer]] = {
    "Is Adam better than SGD?": _optimizers,
    "Which learning rate is best for each n, and does it depend on n?": _learning_rates,
    "Does dropout help, and how much of it?": _dropout,
    "Does the training time grow with n, once loading is out of the way?": _times,
    "How far are the networks from PCA?": _distances,
    "What does depth buy?": _depth,
}


def _grid(settings: Iterable[Setting], key: str) -> dict[int, dict[float, Setting]]:
    """Settings by n and by the value of a key."""
    grid: dict[int, dict[float, Setting]] = {}
    for setting in settings:
        grid.setdefault(setting.hidden, {})[float(setting.config_key[key])] = setting
    return {n: dict(sorted(of_value.items())) for n, of_value in grid.items()}


def _by_size(settings: Iterable[Setting], key: str, value: object) -> dict[int, Estimate]:
    """Test errors of the settings with a value, by n."""
    return {s.hidden: s.test for s in settings if s.config_key[key] == value}


def _tests(settings: Mapping[float, Setting]) -> dict[float, Estimate]:
    return {value: setting.test for value, setting in settings.items()}


def _matrix(grid: Mapping[int, Mapping[float, Setting]], key: str) -> Columns:
    """Table of test errors: one row per n, one column per value."""
    values = sorted({value for of_value in grid.values() for value in of_value})
    return {
        "n": [str(n) for n in grid],
        **{
            f"{key}={value:g}": [
                format_interval(of_value[value].test) if value in of_value else ""
                for of_value in grid.values()
            ]
            for value in values
        },
    }


def _by_n(lines: Mapping[str, Mapping[int, Estimate]], evidence: Evidence) -> Columns:
    """Table of test errors: one row per n, one column per line, and PCA in the last column."""
    return {
        "n": [str(n) for n in SIZES],
        **{name: [format_interval(of_n[n]) for n in SIZES] for name, of_n in lines.items()},
        "PCA": [format_error(evidence.pca[n]) for n in SIZES],
    }


def _best_rates(name: str, studies: Mapping[int, SearchResult]) -> str:
    best = ", ".join(study.best.name.removeprefix("lr=") for study in studies.values())
    return f"Studies of {name} found {best} for n = {_listed(list(studies))}."


def _chart_by_size(
    name: str, lines: Mapping[str, Mapping[int, Estimate]], evidence: Evidence
) -> Chart:
    linear = Series("PCA", list(evidence.pca), list(evidence.pca.values()), "dashed", None)
    return charts.errors_against(name, "hidden units n", lines, logarithmic=True, others=[linear])


def _best(settings: Mapping[float, Setting]) -> list[float]:
    """The value with the lowest validation error, and those not distinguishable from it."""
    best = min(settings, key=lambda value: fmean(settings[value].validation.values()))
    others = {
        value: _compared(str(value), setting.validation, str(best), settings[best].validation)
        for value, setting in settings.items()
        if value != best
    }
    return [best, *(value for value, other in others.items() if not other.distinguishable)]


def _compared(
    first: str, ours: Mapping[int, float], second: str, theirs: Mapping[int, float]
) -> Comparison:
    comparison = compare(first, ours, second, theirs)
    if comparison is None:
        raise StoreError(f"{first} and {second}: share fewer than two seeds; run them again")
    return comparison


def _difference(comparison: Comparison, base: float) -> str:
    """A difference with its interval and its share of ``base``: ``+0.0020 ± 0.0004 (+5.0%)``."""
    mean, half = comparison.difference.mean, comparison.difference.half or 0
    size = format_with_interval(abs(mean), half, like=base)
    return f"{'+' if mean > 0 else '-'}{size} ({mean / base:+.1%})"


def _sign(comparison: Comparison) -> int:
    """-1 if the first error is lower beyond seed noise, 1 if it is higher, 0 if neither."""
    return 0 if not comparison.distinguishable else (-1 if comparison.difference.mean < 0 else 1)


def _at_each_n(claim: str, comparisons: Mapping[int, Comparison]) -> str:
    """The claim, and for which n it is true, false, or cannot be determined."""
    verdicts = {-1: "yes", 1: "no", 0: "cannot be determined"}
    sizes: dict[str, list[int]] = {
        verdict: [n for n, comparison in comparisons.items() if _sign(comparison) == sign]
        for sign, verdict in verdicts.items()
    }
    given = {verdict: of_verdict for verdict, of_verdict in sizes.items() if of_verdict}
    if len(given) == 1:
        return f"{claim}: {next(iter(given))} at every n"
    return f"{claim}: {'; '.join(f'{word} at n = {_listed(of)}' for word, of in given.items())}"


def _listed(values: Sequence[float], form: str = "g") -> str:
    return ", ".join(format(value, form) for value in values)
