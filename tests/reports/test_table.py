"""The table, cell by cell, in every format."""

import csv
import dataclasses
import io
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
from records import record, stored, summary
from rich.console import Console

from fae.reports import table
from fae.reports.summary import Summary
from fae.reports.timing import Times
from fae.runtime.intervals import Verdict

SEEDS = [0.0410, 0.0423, 0.0417]


@pytest.fixture
def paper() -> Summary:
    runs = [record(64, seed, error, fit_s=10.0 + seed) for seed, error in enumerate(SEEDS)]
    return summary(*runs, record(128, 0, 0.0331))


def test_a_row_stands_beside_the_paper(paper: Summary) -> None:
    assert table.errors(paper) == {
        "setting": ["n = 64", "n = 128"],
        "test error": ["0.0417 ± 0.0016 (3)", "0.0331 (one seed)"],
        "paper": ["0.0414", "0.0328"],
        "diff": ["+0.6 %", "+0.9 %"],
        "verdict": ["not enough seeds", "not enough seeds"],
        "more seeds": ["2", ""],
        "PCA": ["0.0000", "0.0000"],
    }
    assert table.details(paper) == {
        "setting": ["n = 64", "n = 128"],
        "val": ["0.0404", "0.0404"],
        "train": ["0.0400", "0.0400"],
        "parameters": ["640", "1,280"],
        "time [s]": ["11.0 (10.5 to 11.5)", "10.0 (one run)"],
        "paper's time [s]": ["417.2", "412.9"],
        "s per epoch": ["3.67", "3.33"],
    }


def test_columns_that_say_nothing_are_left_out() -> None:
    found = table.errors(summary(record(32, 0, 0.1)))
    assert list(found) == ["setting", "test error", "PCA"]


def test_times_that_do_not_compare_are_marked_and_explained() -> None:
    runs = [stored("a", started=0, ended=9), stored("b", started=5, ended=12)]
    found = summary(record(64, 0, 0.04, run=runs[0], fit_s=0.123), concurrent_runs=runs)
    assert table.details(found)["time [s]"] == ["0.12* (one run)"]
    assert table.legend(found).endswith("* not comparable: overlapped with other runs.")


def test_the_legend_states_the_tolerance_and_the_mean_image(paper: Summary) -> None:
    assert "within 3 % of the paper's error" in table.legend(paper)
    assert "paper" not in table.legend(summary(record(64, 0, 0.04, data="synthetic")))
    assert "the mean image reaches 0.1000" in table.legend(paper)


def test_markdown_is_two_tables_and_a_legend(paper: Summary) -> None:
    lines = table.markdown(paper).splitlines()
    assert lines[0].startswith("| setting | test error | paper |")
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert lines[2].startswith("| n = 64 | 0.0417 ± 0.0016 (3) | 0.0414 | +0.6 % |")
    assert lines[5] == (
        "| setting | val | train | parameters | time [s] | paper's time [s] | s per epoch |"
    )
    assert "\n".join(lines[10:]) == table.legend(paper)


def test_latex_is_a_booktabs_table(paper: Summary) -> None:
    lines = table.latex(paper).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrrrrrr}"
    assert [lines[1], lines[3], lines[6], lines[7]] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert lines[4].startswith(r"n = 64 & 0.0417 $\pm$ 0.0016 (3) & 0.0414 & +0.6 \% &")
    assert lines[4].endswith(r"\\")


def test_csv_has_full_precision(paper: Summary) -> None:
    first, second = csv.DictReader(io.StringIO(table.comma_separated(paper)))
    assert float(first["test_mse"]) == paper.rows[0].test.mean
    assert float(first["test_mse_low"]) == paper.rows[0].test.low
    assert float(first["difference"]) == paper.rows[0].difference
    assert float(first["fit_s_high_quartile"]) == 11.5
    assert second["test_mse_low"] == ""
    assert second["verdict"] == "not enough seeds"
    assert first["run_ids"].split() == [run.id for run in paper.rows[0].runs]


def test_texts_are_escaped_for_what_reads_them(paper: Summary) -> None:
    title = '=1+1 <b>|50% of_a$ [red]"x'
    odd = dataclasses.replace(paper, rows=[dataclasses.replace(paper.rows[0], title=title)])
    (row,) = csv.DictReader(io.StringIO(table.comma_separated(odd)))
    assert row["setting"] == "'" + title
    assert r'| =1+1 &lt;b>\|50% of_a$ \[red\]"x |' in table.markdown(odd)
    assert r'=1+1 <b>|50\% of\_a\$ {[}red{]}"x &' in table.latex(odd)
    console = Console(file=io.StringIO(), width=200)
    console.print(table.terminal(odd))
    assert title in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n-", "＝"])  # noqa: RUF001
def test_no_cell_starts_a_formula(paper: Summary, start: str) -> None:
    runs = [dataclasses.replace(run, id=f"{start}x") for run in paper.rows[0].runs]
    first = dataclasses.replace(paper.rows[0], title=f"{start}x", curves=f"{start}x", runs=runs)
    odd = dataclasses.replace(paper, rows=[first])
    (row,) = csv.DictReader(io.StringIO(table.comma_separated(odd), newline=""))
    cell = f"{start.strip()}x"
    assert row["setting"] == row["curves"] == f"'{cell}"
    assert row["run_ids"] == f"'{cell} {cell} {cell}"
    assert float(row["difference"]) == odd.rows[0].difference


EVIL = "\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\n\\|"
"""Sets a window's title, clears a screen, turns text around, breaks lines, ends a cell."""


def test_no_table_holds_what_is_not_printable(paper: Summary) -> None:
    odd = dataclasses.replace(paper, rows=[dataclasses.replace(paper.rows[0], title=EVIL)])
    console = Console(file=io.StringIO(), width=300)
    console.print(table.terminal(odd))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (shown, table.markdown(odd), table.latex(odd), table.comma_separated(odd)):
        assert text.replace("\n", "").isprintable()
    assert r"\x1b]0;title\x07\x1b[2J\x9b1m\u202e\u2028\n" in shown
    assert (
        table.markdown(odd)
        .splitlines()[2]
        .startswith(r"| \\x1b\]0;title\\x07\\x1b\[2J\\x9b1m\\u202e\\u2028\\n\\\| | 0.0417")
    )
    assert table.latex(odd).splitlines()[4].startswith(r"\textbackslash{}x1b{]}0;title")


def test_a_picture_or_a_link_in_markdown_is_text(paper: Summary) -> None:
    title = "![](http://x/y.png) [a](b) `c` *d*"
    odd = dataclasses.replace(paper, rows=[dataclasses.replace(paper.rows[0], title=title)])
    assert r"| !\[\](http://x/y.png) \[a\](b) \`c\` \*d\* |" in table.markdown(odd)


def on_a_terminal(found: Summary, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table.terminal(found))
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return shown


def several_seeds() -> Summary:
    """Each of the verdicts, and below PCA."""
    errors = {64: 0.0414, 128: 0.02, 256: 0.09, 512: 0.0240}
    spread = {64: 1e-5, 128: 1e-5, 256: 1e-5, 512: 0.01}
    runs = [
        record(n, seed, error + seed * spread[n], fit_s=123.4 + 10 * seed)
        for n, error in errors.items()
        for seed in range(3)
    ]
    return summary(*runs, record(2, 0, 0.01))


def long_titles() -> Summary:
    """Settings that differ in several keys, as a report of ``where=`` may have them."""
    settings: dict[str, Any] = {
        "model__hidden_activation": "leaky_relu",
        "optimizer__schedule": "one_cycle",
    }
    return summary(
        *(
            record(64, 0, 0.0417, lr=rate, optimizer__momentum=0.9, batch_size=size, **settings)
            for rate, size in ((0.123456789, 1000), (22.573731189131195, 100))
        ),
        record(64, 1, 0.0417, lr=0.5, optimizer__momentum=0, model__hidden_activation="relu"),
    )


def overlapped() -> Summary:
    """With a time that is not comparable, and its remark."""
    runs = [stored("a", started=0, ended=9), stored("b", started=5, ended=12)]
    return summary(
        *(record(64, seed, 0.04, run=run, fit_s=1234.5) for seed, run in enumerate(runs)),
        record(64, 2, 0.04),
        concurrent_runs=runs,
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("make", [several_seeds, long_titles, overlapped])
def test_the_terminal_shows_each_cell_whole_at_any_width(
    make: Callable[[], Summary], width: int
) -> None:
    """Each in one line; a label that is longer than the terminal is wrapped between settings."""
    found = make()
    shown = on_a_terminal(found, width)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    unwrapped = " ".join(shown.split())
    for columns in (table.errors(found), table.details(found)):
        labels, *others = columns.values()
        for heading in list(columns)[1:]:
            assert set(heading.split()) <= set(shown.split())
        for label in labels:
            assert any(label in line for line in lines) or len(label) > width / 2
            assert label in unwrapped
        for cell in [cell for column in others for cell in column]:
            assert any(cell in line for line in lines)


def test_a_table_in_parts_says_so() -> None:
    assert "In 4 parts, as 60 columns are too few." in on_a_terminal(several_seeds(), 60)
    assert " parts, " not in on_a_terminal(several_seeds(), 100)
    assert on_a_terminal(long_titles(), 200).count("setting") == 2


def test_verdicts_have_their_colours() -> None:
    assert table.VERDICT_STYLES.keys() == set(get_args(Verdict))
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    console.print(table.terminal(several_seeds()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    coloured = dict(re.findall(r"\x1b\[(\d+)m *([a-z ]+)\x1b", shown))
    assert coloured == {"32": "better", "31": "worse", "33": "not enough seeds"} | coloured
    assert "\x1b[" not in on_a_terminal(several_seeds(), 100)


def test_times_of_fewer_runs_than_there_are_say_so() -> None:
    assert table.with_quartiles(Times(1, 2, 3, 4, 1, None), 5) == "2.00 (1.00 to 3.00; 4 of 5)"
    assert table.with_quartiles(Times(2, 2, 2, 1, 1, None), 5) == "2.00 (one run; 1 of 5)"


def test_times_are_written_with_their_spread() -> None:
    assert (
        table.with_quartiles(Times(0.0512, 0.0712, 9.99, 3, 0.1, None), 3)
        == "0.071 (0.051 to 9.99)"
    )
    assert table.with_quartiles(Times(99, 123.45, 456.78, 3, 4, "x"), 3) == "123.5* (99.0 to 456.8)"
