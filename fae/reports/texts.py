"""The table of a report as text: for the terminal, Markdown, LaTeX and CSV."""

from rich.console import Group
from rich.text import Text

from fae.drawing import tables
from fae.reports import catalogue, table
from fae.reports.summary import Summary


def terminal(summary: Summary) -> Group:
    """The table and its legend, for rich to print."""
    parts = [tables.as_rich(columns(summary)) for columns in catalogue.TABLES]
    return Group(*parts, Text(table.legend(summary), style="dim"))


def markdown(summary: Summary) -> str:
    """The table and its legend."""
    parts = [tables.as_markdown(columns(summary)) for columns in catalogue.TABLES]
    return "\n".join([*parts, table.legend(summary)]) + "\n"


def latex(summary: Summary) -> str:
    """The whole table in one; needs ``\\usepackage{booktabs}``."""
    return tables.as_latex(whole(summary))


def comma_separated(summary: Summary) -> str:
    """The table as CSV, with full precision; shares as fractions, times in seconds."""
    return tables.as_csv(table.records(summary))


def whole(summary: Summary) -> tables.Columns:
    """The columns of all parts."""
    return {heading: cells for part in catalogue.TABLES for heading, cells in part(summary).items()}
