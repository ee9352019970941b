"""Paired differences: the interval holds the truth as often as it says."""

import numpy as np
import pytest

from querist.tools.opinions.paired import paired_difference


@pytest.mark.parametrize("count", [30, 100])
@pytest.mark.parametrize(
    ("won", "lost"), [(0.0, 0.0), (0.05, 0.05), (0.2, 0.2), (0.2, 0.02), (0.02, 0.1)]
)
def test_the_interval_holds_the_truth(count, won, lost):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1_000):
        drawn = rng.random(count)
        before, after = drawn >= won, (drawn < won) | (drawn >= won + lost)
        low, high = paired_difference(before, after)[1:]
        held += low <= won - lost <= high
    assert held >= 860


def test_what_never_differs_is_not_known_for_sure():
    same = np.ones(30, dtype=bool)
    points, low, high = paired_difference(same, same)
    assert points == 0
    assert low < 0 < high


def test_a_wider_level_is_a_wider_interval():
    before, after = np.zeros(40, dtype=bool), np.arange(40) < 6
    narrow, wide = paired_difference(before, after), paired_difference(before, after, level=0.99)
    assert narrow.points == wide.points == 6 / 40
    assert narrow.low > 0
    assert wide.low < narrow.low < narrow.high < wide.high
