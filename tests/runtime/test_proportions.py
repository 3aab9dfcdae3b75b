"""Wilson's interval, beside its formula."""

import math

import pytest

from fae.runtime.proportions import Proportion


@pytest.mark.parametrize(("count", "n"), [(0, 10), (5, 10), (10, 10), (7817, 10_000)])
def test_the_interval_is_wilsons(count: int, n: int) -> None:
    z, share = 1.959963984540054, count / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    found = Proportion(count, n)
    assert found.share == share
    assert found.interval == pytest.approx((middle - half, middle + half), abs=1e-12)
