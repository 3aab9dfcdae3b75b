"""The seeds of a sweep with ``repeats=auto``: added round by round, until all is decided."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from fae.errors import ConfigError
from fae.reports.decision import AgainstPublished, Contrast, decide
from fae.reports.published import target
from fae.reports.selection import FIRST_ROW, SHARED_BY
from fae.runs.task import State, Task
from fae.runtime.intervals import CONFIDENCE, UNDECIDED
from fae.runtime.sequential import FIRST_LOOK, repeated_t
from fae.sweeps.seeds import LookUp, shared_overrides, with_seed
from fae.tracking.archive import is_measured


class Rounds:
    """As many seeds of each configuration as it takes to decide about it, one more at a time.

    About a configuration that is a paper's, it is decided whether its error is reproduced; about
    any other, how its errors differ from those of the first, which is that with the lowest
    ``hidden``. As reports decide by the same rule, the verdict of a report is that which ended the
    rounds.

    What is asked for follows from the results of the seeds before the first that has none. So it is
    the same for any process at any time, and a configuration with a failed run waits until that is
    repeated.

    Args:
        composed: one task per configuration, with its first seed.

    Raises:
        ConfigError: there is nothing to decide.
    """

    kind = "round"
    asked = 0

    def __init__(self, composed: Sequence[Task]) -> None:
        self.rows = [*{task.fingerprint: task for task in composed}.values()]
        self._targets = [target(row.config) for row in self.rows]
        self._first = min(range(len(self.rows)), key=lambda n: self.rows[n].config.hidden)
        self._paired = [
            n for n, error in enumerate(self._targets) if error is None and n != self._first
        ]
        self._most = composed[0].config.repeats_max
        self._shared = shared_overrides(composed)
        decisions = len(self._questions([[]] * len(self.rows)))
        if not decisions:
            raise ConfigError(
                "repeats=auto: has nothing to decide about a single configuration without a "
                "published error; give several configurations, or a number of seeds"
            )
        self._decisions = decisions
        self._bounds = repeated_t((1 - CONFIDENCE) / decisions)

    @property
    def identity(self) -> list[str]:
        tolerance = self.rows[0].config.report.tolerance
        return [*(row.fingerprint for row in self.rows), f"decided within {tolerance}"]

    @property
    def tags(self) -> Mapping[str, str]:
        first = {FIRST_ROW: self.rows[self._first].fingerprint} if self._paired else {}
        return {SHARED_BY: str(self._decisions), **first}

    def planned(self, look_up: LookUp) -> list[Task]:
        tasks = look_up(self._seeded(range(FIRST_LOOK)))
        while more := self.more(tasks):
            tasks += look_up(more)
        return tasks

    def more(self, tasks: Sequence[Task]) -> list[Task]:
        """One more seed of each configuration that is undecided and has a result of each so far.

        The first gets one, too, where another needs that to be compared with.
        """
        known, errors = self._by_row(tasks)
        complete = {n for n in range(len(self.rows)) if len(errors[n]) == len(known[n])}
        asking = complete & self._undecided(errors)
        if self._first in complete and any(
            len(known[n]) == len(known[self._first]) for n in asking & {*self._paired}
        ):
            asking.add(self._first)
        return [
            with_seed(self.rows[n], len(known[n]), self._shared)
            for n in sorted(asking)
            if len(known[n]) < self._most
        ]

    def later(self, tasks: Sequence[Task]) -> list[Task]:
        known, errors = self._by_row(tasks)
        undecided = self._undecided(errors)
        asking = undecided | ({self._first} if undecided & {*self._paired} else set())
        return [
            with_seed(self.rows[n], repeat, self._shared)
            for n in sorted(asking)
            for repeat in range(len(known[n]), self._most)
        ]

    def _by_row(self, tasks: Sequence[Task]) -> tuple[list[list[Task]], list[list[float]]]:
        """The tasks of each row by their seeds, and their results as far as these count."""
        numbers = {row.fingerprint: number for number, row in enumerate(self.rows)}
        known: list[list[Task]] = [[] for _ in self.rows]
        for task in sorted(tasks, key=lambda task: task.config.seed):
            config = replace(task.config, seed=self.rows[0].config.seed)
            known[numbers[replace(task, config=config).fingerprint]].append(task)
        errors = [_errors(seeds) for seeds in known]
        for number in self._paired:
            errors[number] = errors[number][: len(errors[self._first])]
        return known, errors

    def _undecided(self, errors: Sequence[Sequence[float]]) -> set[int]:
        """The numbers of the rows about which the results decide nothing yet."""
        return {
            number
            for number, question in self._questions(errors).items()
            if decide(question, self._bounds).answer == UNDECIDED
        }

    def _questions(
        self, errors: Sequence[Sequence[float]]
    ) -> dict[int, AgainstPublished | Contrast]:
        """What is to be decided, by the number of the row.

        Args:
            errors: of each row, seed by seed.
        """
        tolerance, first = self.rows[0].config.report.tolerance, errors[self._first]
        return {
            **{
                n: AgainstPublished(errors[n], published, tolerance)
                for n, published in enumerate(self._targets)
                if published is not None
            },
            **{n: Contrast(errors[n], first[: len(errors[n])], tolerance) for n in self._paired},
        }

    def _seeded(self, repeats: range) -> list[Task]:
        return [with_seed(row, repeat, self._shared) for repeat in repeats for row in self.rows]


def _errors(tasks: Sequence[Task]) -> list[float]:
    """Test errors of the tasks before the first that has none."""
    errors = (
        task.run.metrics["test/mse"] if task.run and task.state == State.DONE else math.nan
        for task in tasks
    )
    return [*takewhile(is_measured, errors)]
