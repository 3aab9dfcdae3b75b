"""The command: make the report of a sweep, or of runs that are alike, from the store.

Light at import, so that --help answers at once; ``fae.reporting`` does the work.
"""

import sys
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from fae import command
from fae.compose import CONF, to_request
from fae.config import ReportRequest
from fae.errors import VerdictError

if TYPE_CHECKING:
    from fae.reporting import Report

SHOWN = 10
"""Comparisons that the terminal shows."""


@hydra.main(version_base="1.3", config_path=CONF, config_name="report")
def run_report(node: DictConfig) -> None:
    """Make one report and say where it is."""
    report(to_request(node))


def report(request: ReportRequest) -> None:
    """Make a report, show its table, and say where it is and where its runs compare.

    Raises:
        VerdictError: not every verdict is the one that was asked for.
    """
    from rich import get_console
    from rich.console import Console

    from fae import table
    from fae.reporting import make_report

    made = make_report(request)
    console = get_console()
    if not console.is_terminal:  # a file has no width to keep to
        console = Console(width=140)
    console.print(table.terminal(made.summary))
    for answer in made.summary.claims:
        console.print(f"{answer.question} {answer.sentence}", highlight=False, soft_wrap=True)
    for comparison in made.summary.comparisons[:SHOWN]:
        console.print(comparison.sentence, highlight=False, soft_wrap=True)
    if more := made.summary.comparisons[SHOWN:]:
        console.print(f"and {len(more)} comparisons more in the report")
    for apart in made.summary.apart:
        said = f"not counted: {apart['name']} ({apart['id'][:8]}): {apart['reason']}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    if made.summary.never_began:
        console.print(f"never began: {made.summary.never_began} more runs of the sweep")
    console.print(f"report   {made.folder / 'report.html'}", highlight=False, soft_wrap=True)
    console.print(f"compare  {made.compare}", highlight=False, soft_wrap=True)
    _check_verdicts(request, made)


def _check_verdicts(request: ReportRequest, made: "Report") -> None:
    wanted = request.report.fail_unless
    verdicts = {row.title: row.verdict or "not in the paper" for row in made.summary.rows}
    others = [f"{title}: {verdict}" for title, verdict in verdicts.items() if verdict != wanted]
    if wanted and others:
        raise VerdictError(f"report.fail_unless={wanted}: not so for {', '.join(others)}")


def main() -> None:
    """Entry point of ``python -m fae.report`` and ``fae-report``.

    A name of a sweep or a condition may hold commas and spaces, which Hydra's grammar has
    other uses for; a report is not swept, so they are quoted here.
    """
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
    command.run(run_report, ReportRequest)


def quoted(argument: str) -> str:
    """An override whose words Hydra takes as they are, unless they are quoted already."""
    key, _, value = argument.partition("=")
    if key not in {"sweep", "where", "out"} or value in {"", "null"} or {*value} & {"'", '"'}:
        return argument
    if value.startswith("[") and value.endswith("]"):
        return f"{key}=[{','.join(map(repr, value[1:-1].split(',')))}]"
    return f"{key}={value!r}"


if __name__ == "__main__":
    main()
