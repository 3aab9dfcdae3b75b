"""What a report leaves in the store besides its files: results of its sweep, a view of its runs."""

from collections import Counter

from fae.reports import table
from fae.reports.selection import Selection
from fae.reports.summary import Summary
from fae.tracking import view
from fae.tracking.archive import Outcome
from fae.tracking.view import View

LONGEST_NOTE = 8000
"""Characters that MLflow keeps of a run's description."""


def outcome(selection: Selection, summary: Summary) -> Outcome:
    """A report's numbers for the run of its sweep, by which sweeps are sorted and filtered.

    Metrics are the lowest ``test/mse`` (mean over seeds) for each ``hidden``, which is the step,
    and over all settings, and the number of finished runs.
    """
    lowest: dict[int, float] = {}
    for row in sorted(summary.rows, key=lambda row: -row.test.mean):
        lowest[row.hidden] = row.test.mean
    return Outcome(
        metrics=[
            *(("test/mse", hidden, error) for hidden, error in lowest.items()),
            ("test/lowest_mse", 0, min(lowest.values())),
            ("finished_runs", 0, len(selection.runs)),
        ],
        time=max(run.ended or run.started for run in selection.runs),
        tags={"fae.verdict": _verdict(summary)},
        note=_note(summary),
    )


def _verdict(summary: Summary) -> str:
    """``reproduced`` if all of the sweep is; else how many settings have which verdict."""
    counted = Counter[str](row.verdict or "not in the paper" for row in summary.rows)
    if summary.incomplete:
        counted["incomplete"] = 1
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{count} {verdict}" for verdict, count in counted.most_common())


def _note(summary: Summary) -> str:
    """The description of the sweep's run."""
    note = table.markdown(summary)
    if len(note) > LONGEST_NOTE:
        return f"The table of {len(summary.rows)} settings is among the artifacts, in report/."
    return note


def view_of(selection: Selection) -> View:
    """The view of a report's runs: all that are nested in its sweep, if those are its runs."""
    runs, sweep = selection.runs, selection.sweep
    is_nested = sweep and all(run.parent == sweep.id for run in runs)
    shown = view.of_parent(sweep.id) if sweep and is_nested else view.of_runs([r.id for r in runs])
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.parameters.items():
            values.setdefault(key, set()).add(value)
    varied = [key for key, distinct in values.items() if len(distinct) > 1]
    return view.of_sweep(selection.name, shown, varied, max(len(run.epochs) for run in runs))
