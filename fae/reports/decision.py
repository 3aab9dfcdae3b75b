"""What the seeds of a setting decide: whether a published error is reproduced, or how the setting
differs from another; or about how many more seeds that would take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

from fae.runtime.intervals import (
    UNDECIDED,
    Difference,
    Estimate,
    Interval,
    Verdict,
    difference,
    estimate,
    student,
    verdict,
)
from fae.runtime.sequential import FIRST_LOOK, RepeatedT

MOST_MORE = 100
"""More seeds than this are not estimated."""
Answer = TypeVar("Answer", bound=str, covariant=True)


class Question(Protocol[Answer]):
    """What is to be decided about a setting, within a tolerance, which is a share."""

    @property
    def errors(self) -> Sequence[float]:
        """Test errors of the setting, one per seed."""

    def answer(self, interval: Interval, seeds: int) -> Answer:
        """The answer by the intervals of the first so many seeds."""


@dataclass(frozen=True)
class AgainstPublished:
    """Whether a published error is reproduced."""

    errors: Sequence[float]
    published: float
    tolerance: float

    def answer(self, interval: Interval, seeds: int) -> Verdict:
        return verdict(interval(self.errors[:seeds]), self.published, self.tolerance)


@dataclass(frozen=True)
class Contrast:
    """How the errors differ from those of another setting with the same seeds."""

    errors: Sequence[float]
    others: Sequence[float]
    tolerance: float

    def answer(self, interval: Interval, seeds: int) -> Difference:
        return difference(self.errors[:seeds], self.others[:seeds], self.tolerance, interval)


@dataclass(frozen=True)
class Decision(Generic[Answer]):
    """An answer, or about how many more seeds it would take.

    Attributes:
        more_seeds: an estimate, ``MOST_MORE + 1`` at most; None where there is an answer, or
            nothing yet to estimate it from.
    """

    answer: Answer
    more_seeds: int | None = None


def decide(question: Question[Answer], repeated: RepeatedT | None = None) -> Decision[Answer]:
    """Decide by all seeds at once, or by as few of the first as are enough.

    Args:
        repeated: bounds that stay valid when one looks after each seed; None: their number was
            fixed in advance.
    """
    seeds = len(question.errors)
    if not seeds:
        return Decision(cast("Answer", UNDECIDED))
    interval = partial(estimate, bound=repeated or student)
    for look in range(FIRST_LOOK, seeds) if repeated else ():
        if (answer := question.answer(interval, look)) != UNDECIDED:
            return Decision(answer)
    answer = question.answer(interval, seeds)
    is_open = answer == UNDECIDED and seeds > 1
    return Decision(answer, _more_seeds(question, interval) if is_open else None)


def _more_seeds(question: Question[Answer], interval: partial[Estimate]) -> int:
    """How many more it would take if the mean and the spread stayed what they are."""
    seeds = len(question.errors)
    for more in range(1, MOST_MORE + 1):
        pretending = partial(interval, pretended=seeds + more)
        if question.answer(pretending, seeds) != UNDECIDED:
            return more
    return MOST_MORE + 1


def number(more_seeds: int) -> str:
    """An estimate of how many more seeds it would take, which goes no further than it can."""
    return f"over {MOST_MORE}" if more_seeds > MOST_MORE else str(more_seeds)
