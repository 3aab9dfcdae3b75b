"""Answers from hand-made evidence: the sentences follow from the numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from conftest import NO_LOCAL
from records import record, summary

from fae.cli.compose import compose
from fae.config import Config
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.errors import StoreError
from fae.paper import answering, questions
from fae.paper.answering import answer, write
from fae.paper.comparing import best
from fae.paper.evidence import SIZES, Evidence
from fae.paper.questions import QUESTIONS, Answer
from fae.reports.settings import Setting
from fae.reports.summary import Summary
from fae.runtime.intervals import estimate
from fae.tracking.store import Store
from fae.tuning.results import SearchResult
from fae.tuning.space import Range
from fae.tuning.study import FinishedTrial

SEEDS = (0, 1, 2, 3, 4)
Error = Callable[[int, float], float]


def errors(mean: float) -> dict[int, float]:
    """Five seeds, a thousandth of the mean apart, the same way for each mean."""
    return {seed: mean * (1 + (seed - 2) / 1000) for seed in SEEDS}


def setting(
    hidden: int,
    config_key: dict[str, Any],
    error: dict[int, float],
    validation: dict[int, float] | None = None,
) -> Setting:
    """One whose validation errors are twice its test errors, if not given."""
    others = {key.replace(".", "__"): value for key, value in config_key.items()}
    validation = validation or {seed: 2 * test for seed, test in error.items()}
    runs = [
        record(hidden, seed, test, curve=[(1.0, validation[seed])], **others)
        for seed, test in error.items()
    ]
    return Setting(hidden, config_key, runs)


def settings(key: str, values: Mapping[object, Error]) -> list[Setting]:
    """A setting for each n and each value of a key."""
    return [
        setting(n, {key: value}, errors(error(n, cast(float, value))))
        for n in SIZES
        for value, error in values.items()
    ]


class Made:
    """Stands for ``Evidence``: errors as functions of n and of what varies."""

    pca: ClassVar = np.interp(np.arange(785), SIZES, (0.010, 0.006, 0.003, 0.0006))

    def __init__(self, **sweeps: list[Setting]) -> None:
        self.unreadable: dict[str, list[str]] = {}
        self.sweeps = sweeps
        self.found = {"": self.study("lr=5", 0.025), "optimizer=adam": self.study("lr=0.001", 0.02)}

    @property
    def paper(self) -> Summary:
        times = {64: 4.0, 128: 8.0, 256: 14.0, 512: 26.0}
        return summary(
            *(
                record(n, seed, 2 / n, fit_s=seconds + seed / 10)
                for n, seconds in times.items()
                for seed in SEEDS
            )
        )

    def train(self, experiment: str) -> str:
        return f"train {experiment}"

    def search(self, others: str = "") -> str:
        return f"search {others}"

    def settings(self, experiment: str) -> list[Setting]:
        return next(made for key, made in self.sweeps.items() if f"experiment={key}" in experiment)

    def studies(self, others: str = "") -> dict[int, SearchResult]:
        return self.found[others]

    def tests(self, found: SearchResult) -> dict[int, float]:
        return errors(found.test.mean)

    @staticmethod
    def study(best: str, error: float) -> dict[int, SearchResult]:
        tried = FinishedTrial(3, {"lr": float(best.removeprefix("lr="))}, error, False)
        space = (Range(key="lr", low=1e-4, high=30, log=True),)
        trials = [
            tried,
            FinishedTrial(4, {"lr": 20.0}, None, False),
            FinishedTrial(5, {"lr": 0.01}, 0.09, True),
        ]
        test = estimate([error] * 2)
        return {
            n: SearchResult(f"hidden={n}", n, space, tried, trials, test, [], 0.4, {})
            for n in SIZES
        }


def ask(how: Callable[[Evidence], Answer], made: Made) -> Answer:
    return how(cast(Evidence, made))


ADAM = settings("optimizer.name", {"sgd": lambda n, _: 2 / n, "adam": lambda n, _: 1 / n})


def test_the_better_optimizer_is_named_with_its_interval() -> None:
    found = ask(questions._optimizers, Made(adam=ADAM))
    assert found.sentences[0].startswith("Adam reaches the lower test error: yes at every n, each")
    assert found.sentences[1] == (
        "n = 64: Adam at lr=0.001 has a lower test error than SGD at lr=5, by 0.005000 ± 0.000010 "
        "(20.0 %): beyond seed noise."
    )
    (table,) = found.tables
    assert table["Adam, its best rate"] == ["0.0200 ± 0.0000 (2)"] * 4
    assert table["PCA"] == ["0.0100", "0.00600", "0.00300", "0.000600"]
    (chart,) = found.charts
    pca, *lines = chart.series
    assert (pca.label, pca.kind, pca.x[0], pca.x[-1]) == ("PCA", "dashed", 64, 512)
    assert [line.label for line in lines] == list(table)[1:-1]
    assert found.short == "yes at every n, each at its best learning rate"
    assert found.effect == "test error -20 %"


def test_where_it_differs_from_n_to_n_the_answer_says_where() -> None:
    made = Made(adam=ADAM)
    made.found["optimizer=adam"][128] = made.study("lr=0.001", 0.03)[128]
    made.found["optimizer=adam"][512] = made.study("lr=0.001", 0.025)[512]
    said = ask(questions._optimizers, made).sentences[0]
    assert "error: yes at n = 64, 256; no at n = 128; cannot be determined at n = 512, each" in said


@pytest.mark.parametrize(
    ("error", "start", "rates", "said"),
    [
        (
            lambda _, lr: 0.02 + abs(lr - 2) / 100,
            "Whether it depends on n cannot",
            "2",
            "cannot be determined: SGD at 2 is not distinguishable from its best at any n",
        ),
        (
            lambda n, lr: 0.02 + abs(lr - n / 64) / 100,
            "It depends on n: each",
            "1 at n = 64; 2",
            "for SGD it depends on n",
        ),
    ],
)
def test_whether_the_best_rate_depends_on_n(
    error: Error, start: str, rates: str, said: str
) -> None:
    made = Made(lr=settings("lr", dict.fromkeys((1.0, 2.0, 4.0, 8.0), error)))
    found = ask(questions._learning_rates, made)
    assert found.sentences[0].startswith(start)
    assert f"with the same seeds: {rates}" in found.sentences[1]
    assert found.sentences[2] == "Studies of sgd found 5, 5, 5, 5 for n = 64, 128, 256, 512."
    assert [chart.name for chart in found.charts] == ["lr", "sgd_by_lr", "adam_by_lr"]
    assert {chart.x.label for chart in found.charts} == {"learning rate"}
    assert found.charts[0].x.ticks == [1, 2, 4, 8]
    by_n = [{s.label: s.look for s in c.series if "=" in s.label} for c in found.charts]
    assert by_n[0] == by_n[1] == by_n[2]
    assert list(by_n[0]) == ["n = 64", "n = 128", "n = 256", "n = 512"]
    assert found.short == said
    assert found.tables[0]["lr=2"][0].endswith("(5)")
    assert found.tables[1]["epochs saved"] == ["40 %"] * 4


def test_rates_that_are_not_distinguishable_are_named_together() -> None:
    noisy = dict(zip(SEEDS, (0.019, 0.021, 0.02, 0.0205, 0.0201), strict=True))
    found = {1.0: errors(0.02), 2.0: noisy, 4.0: errors(0.03)}
    one = {lr: setting(64, {"lr": lr}, of_seed) for lr, of_seed in found.items()}
    assert sorted(best(one)) == [1.0, 2.0]


def test_rates_are_chosen_by_validation_errors() -> None:
    one = {
        1.0: setting(64, {"lr": 1.0}, errors(0.01), errors(0.03)),
        2.0: setting(64, {"lr": 2.0}, errors(0.02), errors(0.02)),
    }
    assert best(one) == [2.0]


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (0.1, "lower beyond seed noise in 0, higher in 8, and"),
        (-0.01, "lower beyond seed noise in 8, higher in 0, and"),
    ],
)
def test_whether_dropout_helps(slope: float, said: str) -> None:
    made = Made(
        dropout=settings(
            "dropout", {rate: lambda _, rate: 0.02 + slope * rate for rate in (0.0, 0.1, 0.2)}
        )
    )
    found = ask(questions._dropout, made)
    assert said in found.sentences[0]
    assert found.sentences[1] == (
        f"dropout=0.1 lowers the test error: {'no' if slope > 0 else 'yes'} at every n."
    )
    assert list(found.tables[0]) == ["n", "dropout=0", "dropout=0.1", "dropout=0.2"]
    (chart,) = found.charts
    assert (chart.x.ticks, chart.x.log) == ([0.0, 0.1, 0.2], False)
    assert found.effect == f"dropout=0.1 instead of none: test error {100 * slope / 0.2:+.0f} %"


def test_the_time_is_that_of_the_papers_experiment() -> None:
    found = ask(questions._times, Made())
    assert found.sentences[0].startswith("Yes: medians 4.2, 8.2, 14.2, 26.2 s")
    assert "From n = 64 to n = 512 it grows by a factor of 6.2; in the paper" in found.sentences[1]
    assert found.sentences[1].endswith("by a factor of 1.01.")
    assert (found.short, found.effect) == ("yes", "4.2 s for n = 64, 26.2 s for n = 512")


def test_the_distance_to_pca_has_its_interval() -> None:
    made = Made(best=settings("lr", {1.0: lambda n, _: Made.pca[n] * 0.75}))
    found = ask(questions._distances, made)
    assert "and 0.75, 0.75, 0.75, 0.75 times with experiment=best/n" in found.sentences[0]
    half = estimate(list(errors(0.0075).values())).half
    assert half is not None
    assert found.tables[0]["best below PCA"][0] == f"25.0 ± {100 * half / 0.01:.1f} %"
    assert found.short.startswith("far above it with the paper's settings, below it with ")
    assert found.effect.endswith("0.75 to 0.75 times with experiment=best/n")


def test_depth_is_compared_at_its_n() -> None:
    deep = [setting(64, {"model.widths": (512,)}, errors(0.006))]
    made = Made(best=settings("lr", {1.0: lambda *_: 0.008}), depth=deep)
    found = ask(questions._depth, made)
    assert found.sentences[0] == (
        "At n = 64 the error is 0.75 times that of experiment=best/64, and 0.60 times PCA's."
    )
    assert "experiment=depth has a lower test error than experiment=best/64" in found.sentences[1]
    assert found.short.startswith("a lower error at n = 64, with one more layer of 512 units")
    assert found.effect == "test error -25 %, 0.60 times PCA's"
    pca, shallow, deeper = found.charts[0].series
    assert (pca.label, shallow.x, deeper.x) == ("PCA", [*SIZES], [64])
    assert deeper.y == pytest.approx([0.006])


def test_the_page_has_every_question_its_command_and_its_figures(tmp_path: Path) -> None:
    made = Made(
        adam=ADAM,
        lr=settings("lr", {lr: lambda n, lr: lr / n for lr in (1.0, 2.0)}),
        dropout=settings("dropout", {r: lambda n, r: 1 / n + r for r in (0.0, 0.1)}),
        best=settings("lr", {1.0: lambda n, _: Made.pca[n] / 2}),
        depth=[setting(64, {"model.widths": (512,)}, errors(0.004))],
    )
    answered = [
        answering._ask(question, how, cast(Evidence, made)) for question, how in QUESTIONS.items()
    ]
    page = write(answered, tmp_path)
    text = page.read_text()
    for question in QUESTIONS:
        assert f"## {question}\n" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("](")[2].rstrip(")")).stat().st_size > 1000
    assert text.count("![") == 8
    assert text.count(".svg)") == 8
    before, _, _ = text.partition("## ")
    for given in answered:
        assert f"| {given.question} | {given.short} | {given.effect} |\n" in before
    assert "Not tried yet" not in text
    assert write(answered, tmp_path).read_text() == text


def test_what_was_not_tried_yet_is_named_with_its_command(
    tiny: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("tracking.experiment=nothing")
    Store(config.tracking)
    data = compose(NO_LOCAL).data
    assert isinstance(data, FashionMNISTConfig)
    *_, last = QUESTIONS
    monkeypatch.setattr(answering, "QUESTIONS", {last: QUESTIONS[last]})
    (answered,) = answer(config.tracking, data, [NO_LOCAL])
    assert (answered.question, answered.sentences) == (last, ["Not tried yet."])
    assert (answered.short, answered.effect) == ("not tried yet", "")
    assert answered.commands == ["python -m fae.train -m experiment=depth local=none"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreError("run 01234567: gone"), "Cannot be determined: run 01234567: gone."),
        (KeyError(64), "Cannot be determined from the settings in the store."),
    ],
    ids=["unreadable", "no such setting"],
)
def test_one_question_that_cannot_be_answered_leaves_the_others_alone(
    error: Exception, sentence: str
) -> None:
    def fails(_: Evidence) -> Answer:
        raise error

    found = answering._ask("Why?", fails, cast(Evidence, Made()))
    assert (found.question, found.commands, found.sentences) == ("Why?", [], [sentence])


def test_without_a_store_there_is_nothing_to_answer_from(tmp_path: Path) -> None:
    config = compose(NO_LOCAL, f"tracking.uri='sqlite:///{tmp_path}/none.db'")
    assert isinstance(config.data, FashionMNISTConfig)
    with pytest.raises(StoreError, match=r"none\.db"):
        answer(config.tracking, config.data, [])
