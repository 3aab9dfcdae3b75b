"""The table of a report, one row per setting, for the terminal, Markdown, LaTeX and CSV."""

from collections.abc import Callable

from rich.console import Group
from rich.text import Text

from fae.drawing import tables
from fae.drawing.tables import Columns, TerminalTables
from fae.reports.decision import number
from fae.reports.rows import Row
from fae.reports.summary import Summary
from fae.reports.timing import Times
from fae.runtime.console import BAD, OK, UNCLEAR
from fae.runtime.formatting import format_error, format_errors, format_intervals, format_share

INCREMENTAL = (
    "nearly the best that is linear: of images of this size they are computed incrementally, not "
    "exactly"
)
VERDICT_STYLES = {
    "reproduced": OK,
    "better": OK,
    "worse": BAD,
    "not enough seeds": UNCLEAR,
}


def errors(summary: Summary) -> Columns:
    """How well each setting reconstructs."""
    rows = summary.rows
    return _without_empty(
        {
            "setting": [row.title for row in rows],
            "test error": format_intervals([row.test for row in rows]),
            "paper": format_errors([row.published for row in rows]),
            "diff": [_share(row.difference, "+.1f") for row in rows],
            "verdict": [row.verdict or "" for row in rows],
            "against first": [row.against_first or "" for row in rows],
            "more seeds": [number(row.more_seeds) if row.more_seeds else "" for row in rows],
            "PCA": format_errors([row.pca for row in rows]),
            "below PCA": [_share(_gain(row), ".1f") for row in rows],
        }
    )


def details(summary: Summary) -> Columns:
    """The other errors of each setting, its size and its time."""
    rows = summary.rows
    return _without_empty(
        {
            "setting": [row.title for row in rows],
            "val": format_errors([row.val for row in rows]),
            "train": format_errors([row.train for row in rows]),
            "parameters": [f"{row.parameters:,}" for row in rows],
            "time [s]": [with_quartiles(row.times, row.test.n) for row in rows],
            "paper's time [s]": [
                "" if row.published_s is None else f"{row.published_s:.1f}" for row in rows
            ],
            "s per epoch": [_seconds(row.times.per_epoch) for row in rows],
        }
    )


def legend(summary: Summary) -> str:
    """How the table is to be read, one line per subject."""
    best = "the best that is linear" if summary.pca_is_exact else INCREMENTAL
    lines = [
        "Errors: mean squared error over images and pixels in [0, 1]; mean over the seeds, their "
        f"number in brackets, with {_interval(summary)}.",
        f"PCA: test error of as many principal components, {best}; "
        f"the mean image reaches {format_error(summary.mean_image)}.",
        "Times: median (quartiles) over the seeds, or over those of them whose times can be "
        "compared (runs that, as far as this store knows, did not overlap with others, on the "
        "hardware of most runs).",
    ]
    if any(row.verdict for row in summary.rows):
        lines.append(
            "Verdict, for the paper's settings: reproduced if the whole interval lies within "
            f"{format_share(summary.tolerance, 'g')} of the paper's error, better or worse if all "
            "of it lies below or above; otherwise there are not enough seeds to tell."
        )
    if any(row.against_first for row in summary.rows):
        lines.append(
            "Against first: lower or higher if the interval of the differences from the first "
            "setting, seed by seed, excludes zero; equal if the error lies within "
            f"{format_share(summary.tolerance, 'g')} of it, with its whole interval."
        )
    if any(row.more_seeds for row in summary.rows):
        lines.append(
            "More seeds: about how many it would take to tell, if mean and spread stayed what they "
            "are."
        )
    lines += summary.papers.values()
    lines += _footnote(summary)
    return "\n".join(lines)


def _interval(summary: Summary) -> str:
    """What kind of intervals these are."""
    if summary.decisions is None:
        return "a 95 % interval (Student's t)"
    together = " of all settings together" if summary.decisions > 1 else ""
    return (
        f"an interval that was to hold after each seed that was added, with 95 %{together} "
        "(repeated Student's t), as the results decided how many seeds there are"
    )


def _footnote(summary: Summary) -> list[str]:
    """What the star at a time means, if there is one."""
    remarks = {row.times.remark for row in summary.rows if row.times.remark}
    return [f"* not comparable: {', '.join(sorted(remarks))}."] if remarks else []


TABLES: list[Callable[[Summary], Columns]] = [errors, details]
"""The parts of the table, each of which has one row per setting."""


def terminal(summary: Summary) -> Group:
    """The table, for rich to print, with a line on how to read it."""
    shown = TerminalTables([columns(summary) for columns in TABLES], VERDICT_STYLES)
    interval = (
        "95 % interval" if summary.decisions is None else "interval that holds after each seed"
    )
    notes = [f"MSE, mean over seeds (number) ± {interval}; the report has the whole legend."]
    return Group(shown, *(Text(note, "dim") for note in [*notes, *_footnote(summary)]))


def markdown(summary: Summary) -> str:
    """The table and its legend."""
    parts = [tables.as_markdown(columns(summary)) for columns in TABLES]
    return "\n".join([*parts, legend(summary)]) + "\n"


def latex(summary: Summary) -> str:
    """The whole table in one; needs ``\\usepackage{booktabs}``."""
    return tables.as_latex(whole(summary))


def comma_separated(summary: Summary) -> str:
    """The table as CSV, with full precision; shares as fractions, times in seconds."""
    return tables.as_csv(records(summary))


def whole(summary: Summary) -> Columns:
    """The columns of all parts."""
    return {heading: cells for part in TABLES for heading, cells in part(summary).items()}


def with_quartiles(times: Times, runs: int) -> str:
    """``22.8 (22.1 to 23.4)``; a star marks what is not comparable.

    Args:
        runs: how many the setting has; shown where the times are of fewer.
    """
    median = _seconds(times.median) + ("*" if times.remark else "")
    of = f"; {times.n} of {runs}" if times.n < runs else ""
    if times.n == 1:
        return f"{median} (one run{of})"
    return f"{median} ({_seconds(times.low)} to {_seconds(times.high)}{of})"


def records(summary: Summary) -> list[dict[str, object]]:
    """Each row in full precision: shares as fractions, times in seconds."""
    return [_record(row, summary) for row in summary.rows]


def _record(row: Row, summary: Summary) -> dict[str, object]:
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
        "against_first": row.against_first,
        "more_seeds": row.more_seeds,
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


def _without_empty(columns: Columns) -> Columns:
    return {heading: cells for heading, cells in columns.items() if any(cells)}


def _seconds(value: float) -> str:
    """About three digits, or two of small values."""
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _gain(row: Row) -> float | None:
    """How far a setting is below PCA, if it is."""
    return row.below_pca if row.below_pca and row.below_pca > 0 else None


def _share(share: float | None, form: str) -> str:
    return "" if share is None else format_share(share, form)
