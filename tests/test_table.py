"""The table of a sweep, cell by cell."""

import numpy as np
import pytest
import scipy.stats

from fae.result import Panel, Result
from fae.table import columns, markdown, over_seeds, settings, titles


def result(name: str, hidden: int, test_mse: float, data: str = "fashion_mnist") -> Result:
    empty = np.zeros((0, 4), np.float32)
    return Result(
        name,
        "0123456789abcdef",
        {"hidden": hidden, "data": data},
        [{"train/mse": 9.0, "val/mse": 9.0}, {"train/mse": 0.04, "val/mse": 0.05}],
        2,
        {"test/mse": test_mse, "time/fit_s": 12.34, "time/total_s": 20.0},
        Panel(empty, empty, np.zeros(0, np.float32), []),
    )


def test_titles_tell_runs_apart_in_the_papers_words() -> None:
    runs = [result(f"hidden={n} epochs=3 seed=0", n, 0.1) for n in (64, 128)]
    assert titles(runs) == ["n = 64", "n = 128"]
    assert titles(runs[:1]) == ["n = 64 epochs=3 seed=0"]
    same = [result("hidden=64 seed=0", 64, 0.1)] * 2
    assert titles(same) == ["n = 64 seed=0"] * 2


def test_a_row_holds_the_last_epoch_beside_the_paper() -> None:
    table = columns([result("hidden=64 seed=0", 64, 0.0415)])
    assert {heading: cells[0] for heading, cells in table.items()} == {
        "run": "n = 64 seed=0",
        "train": "0.0400",
        "val": "0.0500",
        "test": "0.0415",
        "paper": "0.0414",
        "diff": "+0.2%",
        "fit [s]": "12.3",
        "run id": "01234567",
    }


def test_what_the_paper_did_not_measure_has_no_number_beside_it() -> None:
    other = columns([result("a", 32, 0.1), result("b", 64, 0.1, data="synthetic")])
    assert other["paper"] == ["", ""]
    assert other["diff"] == ["", ""]


def test_a_setting_is_what_its_runs_share_but_the_seed() -> None:
    names = ["hidden=64 lr=1 seed=0", "hidden=64 lr=2 seed=0", "hidden=64 lr=1 seed=1"]
    runs = [result(name, 64, 0.1) for name in names]
    assert settings(runs) == {"lr=1": [runs[0], runs[2]], "lr=2": [runs[1]]}
    assert list(settings(runs[::2])) == ["n = 64 lr=1"]


def test_seeds_of_a_setting_are_summed_up_with_their_interval() -> None:
    errors = [0.040, 0.042, 0.041, 0.043]
    runs = [result(f"hidden=64 lr=1 seed={i}", 64, e) for i, e in enumerate(errors)]
    alone = result("hidden=128 lr=1 seed=0", 128, 0.03)
    low, high = scipy.stats.ttest_1samp(errors, 0).confidence_interval(0.95)
    assert (low + high) / 2 == pytest.approx(0.0415)
    assert over_seeds([*runs, alone]) == {
        "setting": ["n = 64"],
        "seeds": ["4"],
        "mean test": [f"0.0415 ± {(high - low) / 2:.4f}"],
        "paper": ["0.0414"],
        "diff": ["+0.2%"],
    }
    assert not any(over_seeds([runs[0], alone]).values())


def test_markdown_is_a_table() -> None:
    assert markdown({"a": ["1", "2"], "b": ["3", "4"]}) == (
        "| a | b |\n| --- | --- |\n| 1 | 3 |\n| 2 | 4 |\n"
    )
