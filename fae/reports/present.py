"""A report on the terminal: its table, its answers, and where its page is.

Light at import; ``fae.reports.write`` makes the report.
"""

from typing import TYPE_CHECKING

from fae.errors import VerdictError
from fae.reports.config import ReportConfig
from fae.runtime.console import UNCLEAR, in_one_line, point, say, warn, wide

if TYPE_CHECKING:
    from fae.reports.summary import Summary

SHOWN = 10
"""Comparisons that the terminal shows."""


def report(request: ReportConfig, *, failures_follow: bool = False) -> None:
    """Make a report, show its table, and say where it is and where the view of its runs is.

    Args:
        failures_follow: whether the caller names the runs that failed.

    Raises:
        VerdictError: not every verdict is the one that was asked for, or runs are missing.
    """
    from fae.reports import table
    from fae.reports.write import make_report
    from fae.tracking.ui import links

    made = make_report(request)
    summary = made.summary
    wide().print(table.terminal(summary))
    say(summary.conclusion)
    for claim in summary.claims:
        say(f"{claim.question} {claim.sentence}")
    for comparison in summary.comparisons[:SHOWN]:
        say(comparison.sentence)
    if more := summary.comparisons[SHOWN:]:
        say(f"and {len(more)} more comparisons in the report")
    for run in summary.excluded:
        if run.status != "FAILED" or not failures_follow:
            say(in_one_line(f"excluded: {run.name} ({run.id[:8]}): {run.reason}"), style=UNCLEAR)
    if summary.missing:
        missing = f"not in the store, never started or deleted: {summary.missing} planned runs"
        say(missing, style=UNCLEAR)
    if made.folder:
        point("report", made.folder / "report.html")
    for label, target in links(request.tracking.uri, made.address):
        point(label, target)
    for problem in made.problems:
        warn(problem)
    _check_verdicts(request, summary)


def _check_verdicts(request: ReportConfig, summary: "Summary") -> None:
    wanted = request.report.fail_unless
    verdicts = {row.title: row.verdict or "not in the paper" for row in summary.rows}
    others = [f"{title}: {verdict}" for title, verdict in verdicts.items() if verdict != wanted]
    if summary.incomplete:
        others.append("runs that are missing or did not finish")
    if wanted and others:
        raise VerdictError(f"report.fail_unless={wanted}: not so for {', '.join(others)}")
