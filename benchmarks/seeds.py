"""How many seeds ``repeats=auto`` takes, by simulation, beside other ways to decide when to stop.

``python -m benchmarks.seeds`` prints the table of docs/explanation/statistics.md within a minute.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fae.drawing import tables
from fae.runtime.intervals import Bound, student
from fae.runtime.sequential import FIRST_LOOK, _spent, repeated_t

SWEEPS, ROWS, MOST = 10_000, 4, 20
TOLERANCE = 0.03
"""A share of the published error."""
CASES = [(d, 0.01) for d in (0.0, 0.01, 0.02, 0.025, 0.035, 0.04, 0.06, 0.1)] + [(0.0, 0.1)]
"""True differences and the standard deviation over seeds, shares of the published error. In the
paper's experiment the latter is about 1 %."""
WIDTH = 2.0
"""Variance of the mixture over the mean's size in standard deviations."""
ERROR = 0.05 / ROWS
Floats = NDArray[np.float64]


def bonferroni(values: int) -> float:
    """The bound of a look by itself, with the share of errors that ours spends on it."""
    before = _spent(values - 1) if values > FIRST_LOOK else 0.0
    return float(stats.t.isf(ERROR * (_spent(values) - before) / 2, values - 1))


def mixture(values: int) -> float:
    """The bound of a confidence sequence by a scale-invariant mixture martingale.

    (Wang and Ramdas 2024, *Anytime-valid t-tests and confidence sequences for Gaussian means with
    unknown variance*.)
    """
    wide = 1 + values * WIDTH
    limit = (wide**0.5 / ERROR) ** (2 / values)
    if limit >= wide:
        return np.inf
    return float(((values - 1) * (limit - 1) / (1 - limit / wide)) ** 0.5)


METHODS: dict[str, Bound] = {
    "repeated t, exact (fae)": repeated_t(ERROR),
    "repeated t, Bonferroni": bonferroni,
    "mixture martingale": mixture,
    "t, as if looked at once": student,
}


def answers(errors: Floats, bounds: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By sweep and row: 1 reproduced, 2 not, 0 undecided; and the number of seeds.

    Args:
        errors: (sweeps, rows, seeds), the published one being 1.
        bounds: of each look.
    """
    n = np.arange(1, MOST + 1)
    means = errors.cumsum(-1) / n
    squares = np.maximum((errors**2).cumsum(-1) - n * means**2, 0)
    half = bounds * np.sqrt(squares / n / np.maximum(n - 1, 1))[..., FIRST_LOOK - 1 :]
    away = np.abs(means[..., FIRST_LOOK - 1 :] - 1)
    found = np.select([away + half <= TOLERANCE, away - half > TOLERANCE], [1, 2], 0)
    first = np.where(found.any(-1), (found != 0).argmax(-1), MOST - FIRST_LOOK)
    return np.take_along_axis(found, first[..., None], -1)[..., 0], first + FIRST_LOOK


def row(difference: float, spread: float) -> dict[str, str]:
    """Of each method: mean number of seeds, rows left undecided, sweeps with a wrong verdict."""
    random = np.random.default_rng(1).standard_normal((SWEEPS, ROWS, MOST))
    cells = {"true difference": f"{difference:.1%}", "spread": f"{spread:.0%}"}
    for name, bound in METHODS.items():
        bounds = np.array([bound(n) for n in range(FIRST_LOOK, MOST + 1)])
        found, seeds = answers(1 + difference + spread * random, bounds)
        right = 1 if difference <= TOLERANCE else 2
        wrong = ((found != 0) & (found != right)).any(1).mean()
        cells[name] = f"{seeds.mean():.1f}; {(found == 0).mean():.0%}; {wrong:.2%}"
    return {heading: cell.replace("%", " %") for heading, cell in cells.items()}


if __name__ == "__main__":
    rows = [row(*case) for case in CASES]
    print(tables.as_markdown({heading: [cells[heading] for cells in rows] for heading in rows[0]}))
