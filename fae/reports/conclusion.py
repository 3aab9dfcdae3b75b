"""The conclusion of a report in a sentence or two."""

from collections.abc import Mapping, Sequence

from fae.reports.decision import MOST_MORE, number
from fae.reports.description import in_words
from fae.reports.labels import labels
from fae.reports.rows import Row
from fae.runtime.formatting import format_error, format_share, format_with_interval
from fae.runtime.intervals import Estimate

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NAMED = 4
"""Settings that are named, rather than only counted, where verdicts differ."""
IN_WORDS = {
    "reproduced": "reproduced",
    "better": "better than the paper's",
    "worse": "worse than the paper's",
    "not enough seeds": "undecided for want of seeds",
}


def conclusion(
    rows: Sequence[Row], tolerance: float, lacking: int, interval: str = "95 % interval"
) -> str:
    """What the rows show: whether a paper's errors are reproduced, and which setting is best.

    Args:
        tolerance: of the verdict, a share.
        lacking: runs that are missing, or excluded without another in their place.
        interval: what those of the errors are called.
    """
    judged = [row for row in rows if row.verdict]
    sentences = []
    compared = [row for row in rows if row.against_first]
    if judged:
        kept = " with the paper's settings" if len(judged) < len(rows) else ""
        sentences.append(_about_verdicts(judged, kept, format_share(tolerance, "g"), interval))
    elif any(row.published for row in rows):
        sentences.append("No setting is the paper's, so none has a verdict.")
    if len(judged) < len(rows):
        sentences.append(_about_best(rows))
    if compared:
        sentences.append(_against_first(compared, format_share(tolerance, "g")))
    if undecided := [row for row in rows if row.more_seeds]:
        sentences.append(_still_needed(undecided))
    if lacking:
        sentences.append(
            f"Incomplete: {_number(lacking)} {'runs are' if lacking > 1 else 'run is'} missing or "
            "excluded."
        )
    return " ".join(sentences)


def _about_verdicts(rows: Sequence[Row], kept: str, limit: str, interval: str) -> str:
    """Of rows that have one.

    Args:
        kept: in words, which settings these are.
        limit: the tolerance.
        interval: what those of the errors are called.
    """
    verdicts = {row.verdict for row in rows}
    deviation = max(abs(row.difference or 0) for row in rows)
    one = len(rows) == 1
    end = f"{'it deviates by' if one else 'the largest deviation is'} {_percent(deviation)}."
    if len(verdicts) > 1:
        parts = _in_parts(rows, [row.verdict for row in rows], IN_WORDS)
        return f"Of {_number(len(rows))} test errors{kept}, {parts}; {end}"
    (verdict,) = verdicts
    if verdict == "not enough seeds":
        errors = f"test error{kept} is" if one else f"{_number(len(rows))} test errors{kept} are"
        return f"{_too_few(rows, interval)} to tell whether the {errors} reproduced; {end}"
    side = {"better": "more than {} below", "worse": "more than {} above"}
    where = side.get(str(verdict), "within {} of").format(limit)
    errors = (
        f"The test error{kept} is"
        if one
        else f"{'Both' if len(rows) == 2 else f'All {_number(len(rows))}'} test errors{kept} are"
    )
    whole = f"{'its' if one else 'each'} whole {interval} lies"
    return f"{errors} {IN_WORDS[str(verdict)]}: {whole} {where} the paper's; {end}"


def _too_few(rows: Sequence[Row], interval: str) -> str:
    if any(row.test.n > 1 for row in rows):
        return f"More seeds are needed, as the {interval}s are wide,"
    return f"One seed{'' if len(rows) == 1 else ' each'} is not enough"


def _in_parts(rows: Sequence[Row], answers: Sequence[str | None], words: Mapping[str, str]) -> str:
    """How many rows have each answer, and which.

    Args:
        words: for the answers, in the order of the sentence.
    """
    short, parts = labels(rows), []
    for answer, described in words.items():
        names = [short[row.title] for row, its in zip(rows, answers, strict=True) if its == answer]
        named = f" ({in_words(names)})" if len(names) <= NAMED else ""
        if names:
            verb = "is" if len(names) == 1 else "are"
            parts.append(f"{_number(len(names))} {verb} {described}{named}")
    return in_words(parts)


def _against_first(rows: Sequence[Row], limit: str) -> str:
    """How settings differ from the first.

    Args:
        limit: the tolerance.
    """
    words = {
        "lower": "lower",
        "higher": "higher",
        "equal": f"within {limit}",
        "not enough seeds": IN_WORDS["not enough seeds"],
    }
    found = _in_parts(rows, [row.against_first for row in rows], words)
    return f"Beside the test error of the first setting, {found}."


def _still_needed(rows: Sequence[Row]) -> str:
    """About how many seeds it would take to decide about rows."""
    counts = [row.more_seeds or 0 for row in rows]
    found = " to ".join(dict.fromkeys(map(number, (min(counts), max(counts)))))
    about = "about " if min(counts) <= MOST_MORE else ""
    each = " each" if len(rows) > 1 else ""
    return f"Seeds still needed, by the spread so far: {about}{found}{each}."


def _about_best(rows: Sequence[Row]) -> str:
    """Of the row with the lowest validation error: nothing is chosen by the test error."""
    best = min(rows, key=lambda row: row.val)
    comparisons = [
        f"{_percent(abs(difference))} {'below' if difference < 0 else 'above'} {other}"
        for difference, other in (
            (best.difference, "the paper's for as many hidden units"),
            (best.below_pca and -best.below_pca, "that of PCA with as many components"),
        )
        if difference is not None
    ]
    error = ", ".join([_with_seeds(best.test), " and ".join(comparisons)]).removesuffix(", ")
    name = labels(rows)[best.title]
    if len(rows) == 1:
        return f"The test error of {name} is {error}."
    return f"The lowest validation error is that of {name}; its test error is {error}."


def _with_seeds(test: Estimate) -> str:
    """``0.0410 ± 0.0006 (5 seeds)``."""
    if test.half is None:
        return f"{format_error(test.mean)} (one seed)"
    return f"{format_with_interval(test.mean, test.half, like=test.mean)} ({test.n} seeds)"


def _percent(share: float) -> str:
    return format_share(share, ".1f" if share < 1 else ".0f")


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)
