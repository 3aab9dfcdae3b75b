"""Tables as values, for a terminal, Markdown, LaTeX and CSV."""

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fae.runtime.console import in_one_line

Columns = Mapping[str, Sequence[str]]
"""The cells of each column, by its heading."""

LABELS = 0.5
"""Share of a terminal's width that the first column may take beside others."""
WIDE = 100_000
"""Columns in which any table fits."""
FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 spreadsheets read the wide ones alike
"""Characters that begin a formula."""


def rows(table: Columns) -> list[tuple[str, ...]]:
    """The cells of each row."""
    return list(zip(*table.values(), strict=True))


@dataclass(frozen=True)
class TerminalTables:
    """Tables for a terminal: nothing in them is cut or broken, however narrow the terminal is.

    Columns that do not fit stand in a further part below, beside the first column again. Where the
    first column alone takes most of the width, each row is a block of its own.

    Attributes:
        tables: of the same first column.
        styles: of cells, by their text.
    """

    tables: Sequence[Columns]
    styles: Mapping[str, str] = field(default_factory=dict)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        width, labels = options.max_width, _labels(self.tables[0])
        fit = all(self._width(console, table) <= width for table in self.tables)
        if not fit and self._width(console, labels) > width * LABELS:
            yield from self._blocks()
            return
        parts = [part for table in self.tables for part in self._parts(console, table, width)]
        yield from map(self._grid, parts)
        if not fit:
            yield Text(f"In {len(parts)} parts, as {width} columns are too few.", "dim")

    def _parts(self, console: Console, table: Columns, width: int) -> Iterator[Columns]:
        """A table in parts that fit, each with the first column and at least one other."""
        part = labels = _labels(table)
        for heading, cells in list(table.items())[1:]:
            longer = {**part, heading: cells}
            if part is not labels and self._width(console, longer) > width:
                yield part
                longer = {**labels, heading: cells}
            part = longer
        yield part

    def _width(self, console: Console, table: Columns) -> int:
        unlimited = console.options.update(width=WIDE)
        return console.measure(self._grid(table), options=unlimited).maximum

    def _grid(self, table: Columns) -> Table:
        """Rows and columns, the first one left-aligned; headings are as wide as their cells."""
        grid = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
        for position, (heading, cells) in enumerate(table.items()):
            justify: JustifyMethod = "right" if position else "left"
            widest = max(map(len, [*cells, *heading.split()]))
            lines = textwrap.fill(heading, widest, break_long_words=False)
            grid.add_column(Text(lines), justify=justify, vertical="bottom")
        for row in rows(table):
            grid.add_row(*map(self._cell, row))
        return grid

    def _blocks(self) -> Iterator[RenderableType]:
        """Each row of all tables below its first cell, one line per column."""
        together = {heading: cells for table in self.tables for heading, cells in table.items()}
        _, *headings = together
        for first, *cells in rows(together):
            yield Text(f"\n{in_one_line(first)}", "bold")
            block = Table.grid(padding=(0, 2))
            for heading, cell in zip(headings, cells, strict=True):
                block.add_row(Text(heading), self._cell(cell))
            yield Padding(block, (0, 0, 0, 2))

    def _cell(self, cell: str) -> Text:
        return Text(in_one_line(cell), self.styles.get(cell, ""))


def _labels(table: Columns) -> Columns:
    """The first column alone."""
    return dict([next(iter(table.items()))])


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
