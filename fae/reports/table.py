"""The table of a report, a row a setting: for the terminal, Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from fae.reports.rows import Row
from fae.reports.summary import Summary
from fae.reports.timing import Times
from fae.runtime.console import in_one_line
from fae.runtime.formatting import format_error, format_interval

Columns = Mapping[str, Sequence[str]]
FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 spreadsheets read the wide ones alike
"""Beginnings of a formula."""


def errors(summary: Summary) -> Columns:
    """Heading to cells: how well each setting reconstructs."""
    return _columns(
        summary.rows,
        {
            "setting": lambda row: row.title,
            "test error": lambda row: format_interval(row.test),
            "paper": lambda row: _error(row.published),
            "diff": lambda row: _number(row.difference, "+.1%"),
            "verdict": lambda row: row.verdict or "",
            "PCA": lambda row: format_error(row.pca),
            "below PCA": lambda row: _number(_gain(row), ".1%"),
        },
    )


def details(summary: Summary) -> Columns:
    """Heading to cells: the other errors of each setting, its size and its time."""
    return _columns(
        summary.rows,
        {
            "setting": lambda row: row.title,
            "val": lambda row: format_error(row.val),
            "train": lambda row: format_error(row.train),
            "parameters": lambda row: f"{row.parameters:,}",
            "time [s]": lambda row: with_quartiles(row.times, row.test.n),
            "paper's time [s]": lambda row: _number(row.published_s, ".1f"),
            "s per epoch": lambda row: _seconds(row.times.per_epoch),
        },
    )


def legend(summary: Summary) -> str:
    """How the table is to be read."""
    lines = [
        "Errors: mean squared error over images and pixels in [0, 1]; mean over the seeds, their "
        "number in brackets, with a 95 % interval (Student's t).",
        "PCA: test error of as many principal components, the best that is linear; "
        f"the mean image reaches {format_error(summary.mean_image)}.",
        "Times: median (quartiles) over the seeds, or over as many of them as have a time to "
        "compare (they ran alone, as far as this store tells, and on the same hardware as most).",
    ]
    if any(row.published for row in summary.rows):
        lines += [
            f"Verdict: reproduced if the whole interval lies within {summary.tolerance:.1%} of the "
            "paper's error, better or worse if all of it lies below or above; otherwise there are "
            "not enough seeds to tell.",
            "The paper's errors and times are of one run each, on a machine that it does not name.",
        ]
    if remarks := {row.times.remark for row in summary.rows if row.times.remark}:
        lines.append(f"* not to be compared: {', '.join(sorted(remarks))}.")
    return "\n".join(lines)


def with_quartiles(times: Times, runs: int) -> str:
    """``22.8 (22.1 to 23.4)``; a star marks what is not to be compared.

    Args:
        runs: how many there are; said where the times are of fewer.
    """
    median = _seconds(times.median) + ("*" if times.remark else "")
    of = f"; {times.n} of {runs}" if times.n < runs else ""
    if times.n == 1:
        return f"{median} (one run{of})"
    return f"{median} ({_seconds(times.low)} to {_seconds(times.high)}{of})"


def markdown(summary: Summary) -> str:
    """The table in Markdown, in two parts, with its legend."""
    parts = [as_markdown(errors(summary)), as_markdown(details(summary)), legend(summary)]
    return "\n".join(parts) + "\n"


def latex(summary: Summary) -> str:
    """The table in LaTeX; needs ``\\usepackage{booktabs}``."""
    table = {**errors(summary), **details(summary)}
    rows = [" & ".join(map(_latex_cell, row)) + r" \\" for row in [list(table), *_rows(table)]]
    body = "\n".join([rf"\begin{{tabular}}{{l{'r' * (len(table) - 1)}}}", r"\toprule", rows[0]])
    return "\n".join([body, r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def comma_separated(summary: Summary) -> str:
    """The table as CSV, with full precision; shares as fractions, times in seconds."""
    file = io.StringIO()
    table = [
        {heading: _spreadsheet_cell(cell) for heading, cell in _plain(row, summary).items()}
        for row in summary.rows
    ]
    writer = csv.DictWriter(file, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def terminal(summary: Summary) -> Group:
    """The table and its legend for rich to print."""
    return Group(
        as_rich(errors(summary)), as_rich(details(summary)), Text(legend(summary), style="dim")
    )


def _columns(rows: Sequence[Row], cells: Mapping[str, Callable[[Row], str]]) -> Columns:
    """All columns, but those in which no row has anything."""
    columns = {heading: [cell(row) for row in rows] for heading, cell in cells.items()}
    return {heading: column for heading, column in columns.items() if any(column)}


def _rows(table: Columns) -> list[tuple[str, ...]]:
    return list(zip(*table.values(), strict=True))


def _seconds(value: float) -> str:
    """Three digits or so, and two of small values."""
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _error(value: float | None) -> str:
    return "" if value is None else format_error(value)


def _gain(row: Row) -> float | None:
    """How far a setting is below PCA, if it is."""
    return row.below_pca if row.below_pca and row.below_pca > 0 else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _plain(row: Row, summary: Summary) -> dict[str, object]:
    return {
        "setting": row.title,
        "hidden": row.hidden,
        "seeds": row.test.n,
        "test_mse": row.test.mean,
        "test_mse_low": row.test.low,
        "test_mse_high": row.test.high,
        "paper_test_mse": row.published,
        "difference": row.difference,
        "verdict": row.verdict,
        "pca_test_mse": row.pca,
        "below_pca": row.below_pca,
        "mean_image_test_mse": summary.mean_image,
        "val_mse": row.val,
        "train_mse": row.train,
        "parameters": row.parameters,
        "fit_s_median": row.times.median,
        "fit_s_low_quartile": row.times.low,
        "fit_s_high_quartile": row.times.high,
        "fit_s_runs": row.times.n,
        "fit_s_remark": row.times.remark,
        "paper_s": row.published_s,
        "s_per_epoch": row.times.per_epoch,
        "curves": row.curves,
        "run_ids": " ".join(run.id for run in row.runs),
    }


def as_rich(table: Columns) -> Table:
    """Columns as a table for a terminal."""
    shown = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
    for position, heading in enumerate(table):
        justify: JustifyMethod = "right" if position else "left"
        shown.add_column(Text(heading), justify=justify, no_wrap=heading != "verdict", min_width=6)
    for row in _rows(table):
        shown.add_row(*(Text(in_one_line(cell)) for cell in row))
    return shown


def as_markdown(table: Columns) -> str:
    """Columns as a table in Markdown."""
    cells = [[_markdown_cell(cell) for cell in row] for row in _rows(table)]
    rows = [list(table), ["---"] * len(table), *cells]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _markdown_cell(cell: str) -> str:
    """A text that is itself: no markup, no picture or link, no end of a cell."""
    cell = in_one_line(cell).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*\[\]|]", r"\\\g<0>", cell)


def _latex_cell(cell: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "[": "{[}",  # at the beginning of a row it would be an argument of the end of the last one
        "]": "{]}",
    }
    return "".join(special.get(character, character) for character in in_one_line(cell))


def _spreadsheet_cell(cell: object) -> object:
    """A text on one line that no spreadsheet takes for a formula; a number is one."""
    if not isinstance(cell, str):
        return cell
    text = in_one_line(" ".join(cell.split()))
    return f"'{text}" if text.startswith(FORMULA) else text
