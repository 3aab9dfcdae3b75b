"""The conclusion: true of each kind of report, in plain sentences."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from records import record, stored, summary

from fae.reports.conclusion import conclusion
from fae.reports.selection import SequentialDesign
from fae.runs.stored import TrainedRun
from fae.runtime.intervals import estimate
from fae.runtime.sequential import repeated_t

PAPER = {64: 0.0414, 128: 0.0328, 256: 0.0274, 512: 0.0240}


def runs(factors: Mapping[int, float], seeds: int = 3, spread: float = 1e-5) -> list[TrainedRun]:
    """Runs whose mean test error is a multiple of the paper's."""
    middle = (seeds - 1) / 2
    return [
        record(n, seed, PAPER[n] * factor + (seed - middle) * spread)
        for n, factor in factors.items()
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(
    ("factors", "sentence"),
    [
        (
            {64: 1.001, 128: 0.99, 256: 1.0, 512: 1.0},
            "All four test errors are reproduced: each whole 95 % interval lies within 3 % of the "
            "paper's; the largest deviation is 1.0 %.",
        ),
        (
            {64: 1.01, 128: 1.0},
            "Both test errors are reproduced: each whole 95 % interval lies within 3 % of the "
            "paper's; the largest deviation is 1.0 %.",
        ),
        (
            {64: 1.01},
            "The test error is reproduced: its whole 95 % interval lies within 3 % of the paper's; "
            "it deviates by 1.0 %.",
        ),
        (
            {64: 2.5, 128: 1.5},
            "Both test errors are worse than the paper's: each whole 95 % interval lies more than "
            "3 % above the paper's; the largest deviation is 150 %.",
        ),
        (
            {64: 0.5, 128: 0.9, 256: 0.9},
            "All three test errors are better than the paper's: each whole 95 % interval lies more "
            "than 3 % below the paper's; the largest deviation is 50.0 %.",
        ),
        (
            {64: 1.0, 128: 1.0, 256: 1.1, 512: 0.8},
            "Of four test errors, two are reproduced (n = 64 and n = 128), one is better than the "
            "paper's (n = 512) and one is worse than the paper's (n = 256); the largest deviation "
            "is 20.0 %.",
        ),
    ],
)
def test_verdicts_in_a_sentence(factors: Mapping[int, float], sentence: str) -> None:
    assert summary(*runs(factors)).conclusion == sentence


def test_too_few_seeds() -> None:
    assert summary(*runs({64: 1.01, 128: 1.0}, seeds=1)).conclusion == (
        "One seed each is not enough to tell whether the two test errors are reproduced; the "
        "largest deviation is 1.0 %."
    )
    assert summary(*runs({64: 1.01}, seeds=1)).conclusion == (
        "One seed is not enough to tell whether the test error is reproduced; it deviates by 1.0 %."
    )
    assert summary(*runs({64: 1.01, 128: 1.0}, spread=0.01)).conclusion == (
        "More seeds are needed, as the 95 % intervals are wide, to tell whether the two test "
        "errors are reproduced; the largest deviation is 1.0 %. Seeds still needed, by the spread "
        "so far: over 100 each."
    )


def test_how_many_more_seeds_it_would_take() -> None:
    """So many that Student's t times the standard error is within the tolerance."""
    spread = 0.0414 * 0.02
    found = summary(*runs({64: 1.0}, spread=spread))
    (row,) = found.rows
    assert row.more_seeds == 2  # 2.78 * 0.02 / sqrt(5) is 2.5 %, with four it is 3.2 %
    assert found.conclusion.endswith("Seeds still needed, by the spread so far: about 2.")


def test_settings_beside_the_first_where_seeds_were_added_until_all_was_decided() -> None:
    errors = {4: [0.05, 0.051, 0.049], 8: [0.02, 0.021, 0.019], 9: [0.05, 0.0511, 0.049]}
    made = [
        record(n, seed, error, data="synthetic", run=stored(fingerprint=f"{n} {seed}"))
        for n, of_n in errors.items()
        for seed, error in enumerate([*of_n, of_n[0]])
    ]
    found = summary(*made, rounds=SequentialDesign(2, "4 0"))
    assert [row.against_first for row in found.rows] == [None, "lower", "equal"]
    assert found.conclusion.endswith(
        "Beside the test error of the first setting, one is lower (n = 8) and one is within 3 % "
        "(n = 9)."
    )
    bounds = repeated_t(0.05 / 2)
    assert found.rows[1].test == estimate([*errors[8], 0.02], bounds)
    pairs = [(comparison.first, comparison.second) for comparison in found.comparisons]
    assert pairs == [("n = 4", "n = 8"), ("n = 8", "n = 9"), ("n = 4", "n = 9")]


def test_a_seed_that_is_missing_ends_what_decides_where_seeds_were_added_one_by_one() -> None:
    """As in the rounds themselves: a run may have failed because of what its error would be."""

    def verdict(*seeds: int, rounds: SequentialDesign | None) -> str | None:
        errors = {0: 0.0414, 1: 0.0415, 2: 0.0413, 3: 0.0414, 4: 0.0414, 5: 0.0414}
        found = summary(*(record(64, seed, errors[seed]) for seed in seeds), rounds=rounds)
        return found.rows[0].verdict

    design = SequentialDesign(1)
    assert verdict(0, 1, 2, 3, 4, rounds=design) == "reproduced"
    assert verdict(0, 2, 3, 4, 5, rounds=design) == "not enough seeds"
    assert verdict(0, 2, 3, 4, 5, rounds=None) == "reproduced"


def test_an_interval_that_holds_after_each_seed_is_not_called_one_of_95_percent() -> None:
    seeds = range(8)
    made = [record(64, seed, 0.0414 * (1 + (seed % 2) / 1000)) for seed in seeds]
    assert "its whole 95 % interval lies within" in summary(*made).conclusion
    sequential = summary(*made, rounds=SequentialDesign(1)).conclusion
    assert "its whole interval lies within" in sequential


def test_what_was_learnt_by_heart_has_no_headline() -> None:
    made = record(64, 0, 0.0414)
    trainer = replace(made.config.trainer, limit_batches=1, overfit=0.05)
    vars(made)["config"] = replace(made.config, trainer=trainer)
    assert summary(made).conclusion.startswith("These are runs of the overfit test")


def test_the_limit_is_the_tolerance() -> None:
    assert "within 2.5 % of" in summary(*runs({64: 1.0}), tolerance=0.025).conclusion


def test_without_a_paper_the_best_by_validation_is_named_beside_pca() -> None:
    """By the validation error, although another one has the lower test error."""
    better, worse = [(0.05, 0.05)], [(0.06, 0.06)]
    found = summary(
        record(1, 0, 0.04, data="synthetic", curve=better),
        record(2, 0, 0.03, data="synthetic", curve=worse),
    )
    assert found.conclusion == (
        "The lowest validation error is that of n = 1; its test error is 0.0400 (one seed), 20.0 % "
        "below that of PCA with as many components."
    )
    alone = summary(*(record(2, s, 0.03 + s / 1000, data="synthetic") for s in (0, 1)))
    assert re.fullmatch(
        r"The test error of n = 2 is 0\.0305 ± 0\.\d+ \(2 seeds\), 22\.0 % above that of PCA with "
        r"as many components\.",
        alone.conclusion,
    )


def test_other_settings_beside_the_papers() -> None:
    """Those of the paper have their verdict; the best of all is named as well."""
    others = [record(64, s, 0.0207, lr=1.0, curve=[(0.02, 0.02)]) for s in (0, 1)]
    for run in others:
        vars(run)["config"] = replace(run.config, lr=1.0)
    found = summary(*runs({64: 1.0}), *others).conclusion
    assert found.startswith("The test error with the paper's settings is reproduced: ")
    assert "The lowest validation error is that of n = 64 lr=1; its test error is 0.0207" in found
    assert "50.0 % below the paper's for as many hidden units and " in found
    alone = summary(*others).conclusion
    assert alone.startswith("No setting is the paper's, so none has a verdict. The test error of")


def test_the_best_has_the_name_that_it_has_in_figures() -> None:
    """By as few values as tell it apart from the others, however many differ."""
    sgd: dict[str, Any] = {"optimizer__name": "sgd", "dropout": 0.1, "batch_size": 1000}
    adam: dict[str, Any] = {"optimizer__name": "adam", "dropout": 0.0, "batch_size": 100}
    found = summary(
        record(64, 0, 0.04, data="synthetic", **sgd),
        record(64, 0, 0.02, data="synthetic", curve=[(0.01, 0.01)], **adam),
    )
    assert found.rows[1].title.count("=") == 4
    assert "error is that of n = 64 optimizer=adam; its test" in found.conclusion


def test_what_is_missing_is_said() -> None:
    rows = summary(*runs({64: 1.0})).rows
    assert conclusion(rows, 0.03, 1).endswith(" Incomplete: one run is missing or excluded.")
    assert conclusion(rows, 0.03, 12).endswith(" Incomplete: 12 runs are missing or excluded.")
    assert "Incomplete" not in conclusion(rows, 0.03, 0)


def test_many_settings_are_counted_not_named() -> None:
    (good,) = summary(*runs({64: 1.0})).rows
    (bad,) = summary(*runs({64: 1.5})).rows
    alike = [replace(good, title=f"{n}", hidden=n) for n in range(11)]
    assert conclusion([*alike, bad], 0.03, 0).startswith(
        "Of 12 test errors, 11 are reproduced and one is worse than the paper's (n = 64); "
    )
