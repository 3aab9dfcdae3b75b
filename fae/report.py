"""The command: make the report of a sweep, or of runs that are alike, from the store.

Light at import, so that --help answers at once; ``fae.reports.write`` does the work.
"""

import sys
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from fae.cli import command
from fae.cli.compose import CONF, to_request
from fae.config import ReportRequest
from fae.errors import VerdictError
from fae.runtime.console import in_one_line, say, warn, wide

if TYPE_CHECKING:
    from fae.reports.summary import Summary

SHOWN = 10
"""Comparisons that the terminal shows."""


def report(request: ReportRequest) -> None:
    """Make a report, show its table, and say where it is and where its runs compare.

    Raises:
        VerdictError: not every verdict is the one that was asked for, or runs are missing.
    """
    from fae.reports import texts
    from fae.reports.write import make_report

    made = make_report(request)
    summary = made.summary
    wide().print(texts.terminal(summary))
    for claim in summary.claims:
        say(f"{claim.question} {claim.sentence}")
    for comparison in summary.comparisons[:SHOWN]:
        say(comparison.sentence)
    if more := summary.comparisons[SHOWN:]:
        say(f"and {len(more)} more comparisons in the report")
    for run in summary.excluded:
        say(in_one_line(f"excluded: {run['name']} ({run['id'][:8]}): {run['reason']}"))
    if summary.missing:
        say(f"not in the store, never started or deleted: {summary.missing} planned runs")
    if made.folder:
        say(f"report   {made.folder / 'report.html'}")
    say(f"compare  {made.compare}")
    for problem in made.problems:
        warn(problem)
    _check_verdicts(request, summary)


def _check_verdicts(request: ReportRequest, summary: "Summary") -> None:
    wanted = request.report.fail_unless
    verdicts = {row.title: row.verdict or "not in the paper" for row in summary.rows}
    others = [f"{title}: {verdict}" for title, verdict in verdicts.items() if verdict != wanted]
    if summary.incomplete:
        others.append("runs that are missing or did not finish")
    if wanted and others:
        raise VerdictError(f"report.fail_unless={wanted}: not so for {', '.join(others)}")


def main() -> None:
    """Entry point of ``python -m fae.report`` and ``fae-report``."""
    command.run(lambda: _run(sys.argv[1:]), ReportRequest)


def _run(arguments: list[str]) -> None:
    """Compose the configuration as Hydra does, and make the report.

    ``sweep``, ``where`` and ``out`` go past Hydra, so that names and conditions may hold the
    commas, brackets and blanks that its grammar has other uses for.
    """
    words: dict[str, list[str]] = {"sweep": [], "where": [], "out": []}
    sys.argv[1:] = [a for a in arguments if a.partition("=")[0] not in words]
    for key, equals, value in (argument.partition("=") for argument in arguments):
        if equals and key in words:
            words[key].append(value)
    given: dict[str, object] = {"sweep": words["sweep"]}
    if words["where"]:
        given["where"] = " ".join(words["where"])
    if words["out"]:
        given["out"] = words["out"][-1]

    @hydra.main(version_base="1.3", config_path=CONF, config_name="report")
    def make(node: DictConfig) -> None:
        nodes.append(node)

    nodes: list[DictConfig] = []
    make()
    for node in nodes:  # outside of Hydra, which would announce an error in words of its own
        report(to_request(node, **given))


if __name__ == "__main__":
    main()
