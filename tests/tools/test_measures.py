"""Figures and their intervals."""

import pytest
from scipy.stats import binomtest

from querist.tools.opinions.measures import wilson


@pytest.mark.parametrize("n", [1, 2, 7, 30, 155, 1_000])
def test_wilsons_interval_is_scipys_and_holds_every_share(n):
    for hits in range(0, n + 1, max(1, n // 9)):
        low, high = wilson(hits, n)
        found = binomtest(hits, n).proportion_ci(0.9, method="wilson")
        assert (low, high) == pytest.approx((found.low, found.high), abs=1e-12)
        assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n, n)[1] == 1
