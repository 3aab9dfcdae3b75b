"""Tables as values, for a terminal, Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from fae.runtime.console import in_one_line

Columns = Mapping[str, Sequence[str]]
"""The cells of each column, by its heading."""

FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 spreadsheets read the wide ones alike
"""Characters that begin a formula."""


def rows(table: Columns) -> list[tuple[str, ...]]:
    """The cells of each row."""
    return list(zip(*table.values(), strict=True))


def as_rich(table: Columns) -> Table:
    """A table for a terminal, its first column left-aligned."""
    shown = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
    for position, heading in enumerate(table):
        justify: JustifyMethod = "right" if position else "left"
        shown.add_column(Text(heading), justify=justify, no_wrap=heading != "verdict", min_width=6)
    for row in rows(table):
        shown.add_row(*(Text(in_one_line(cell)) for cell in row))
    return shown


def as_markdown(table: Columns) -> str:
    """A table in Markdown."""
    cells = [[_markdown_cell(cell) for cell in row] for row in rows(table)]
    lines = [list(table), ["---"] * len(table), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: Columns) -> str:
    """A table in LaTeX; needs ``\\usepackage{booktabs}``."""
    heading, *lines = (
        " & ".join(map(_latex_cell, row)) + r" \\" for row in [tuple(table), *rows(table)]
    )
    begin = rf"\begin{{tabular}}{{l{'r' * (len(table) - 1)}}}"
    whole = [begin, r"\toprule", heading, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(whole) + "\n"


def as_csv(records: Sequence[Mapping[str, object]]) -> str:
    """Records of the same keys as CSV, with full precision; an empty cell for None."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: _spreadsheet_cell(cell) for key, cell in record.items()})
    return file.getvalue()


def _markdown_cell(cell: str) -> str:
    """A text without effect as markup: no picture or link, no end of a cell."""
    cell = in_one_line(cell).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*\[\]|]", r"\\\g<0>", cell)


def _latex_cell(cell: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "[": "{[}",  # at the beginning of a row it would be an argument of the previous row's end
        "]": "{]}",
    }
    return "".join(special.get(character, character) for character in in_one_line(cell))


def _spreadsheet_cell(cell: object) -> object:
    """A text in one line that no spreadsheet takes for a formula; numbers are left alone."""
    if not isinstance(cell, str):
        return cell
    text = in_one_line(" ".join(cell.split()))
    return f"'{text}" if text.startswith(FORMULA) else text
