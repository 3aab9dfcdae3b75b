"""Proportions of a sample, such as a share of images, with their confidence intervals."""

from dataclasses import dataclass

from scipy import stats

from fae.runtime.intervals import CONFIDENCE


@dataclass(frozen=True)
class Proportion:
    """How many of a sample have a property, each independently of the others.

    Attributes:
        count: of those that have it.
        n: size of the sample, at least 1.
    """

    count: int
    n: int

    @property
    def share(self) -> float:
        """The share of the sample, in [0, 1]."""
        return self.count / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the share among all that the sample is drawn from.

        The score interval (Wilson 1927, *Probable inference, the law of succession, and statistical
        inference*), which also holds near 0 and 1.
        """
        test = stats.binomtest(self.count, self.n)
        low, high = test.proportion_ci(CONFIDENCE, method="wilson")
        return float(low), float(high)
