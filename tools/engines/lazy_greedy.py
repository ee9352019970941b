"""Pick rows by values that only fall as rows are picked: one engine for greedy and for drawn picks.

A distance to the nearest pick, or the variance that picks leave, never rises again. So a value
that is out of date is an upper bound, and bringing all N values up to date can wait until a few
dozen picks are there: one matrix product for all of them, at a fifth of the time that one
matrix-vector product per pick takes. The picks are the same.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import TIE, FloatArray, IntArray, first_highest
from querist.tools.engines.geometry import Space, blocks

# More picks make one larger product of the update, and more values that are out of date.
_MOST_WAITING = 32
# Draws in vain before all values are brought up to date.
_PATIENCE = 8
# The short list is brought up to date at every pick, so it must be small beside the pool.
_SHORTEST, _SHARE = 256, 256
# Below all values: neither distances nor variances are negative.
_TAKEN = -1.0


class MarginalGains(Protocol):
    """Values that only fall as rows are picked, as marginal gains do where they are submodular."""

    def add(self, row: int) -> None:
        """Count a row as picked."""

    def lower(self, values: FloatArray, rows: IntArray | slice, since: int) -> FloatArray:
        """Lower the values of `rows` by all picks from number `since` on."""


class ToNearest:
    """Distances to the nearest pick."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._picks: list[int] = []

    def add(self, row: int) -> None:
        """Count a row as picked."""
        self._picks.append(row)

    def lower(self, values: FloatArray, rows: IntArray | slice, since: int) -> FloatArray:
        """Measure rows to the picks from number `since` on."""
        picks = self._space.take(np.array(self._picks[since:]))
        return np.asarray(np.minimum(values, self._space.take(rows).gaps(picks).min(axis=1)))


def take_highest(
    values: FloatArray, gains: MarginalGains, *, count: int, first: int | None = None
) -> NDArray[np.intp]:
    """Pick the highest value, again and again; equal ones (to 5 digits) go to the lower position.

    `values` (N,) are not negative, and are changed. `first`, if given, is picked before all.
    """
    pool = _Pool(values, gains)
    if first is not None and count > 0:
        pool.pick(first)
    while len(pool.picks) < count:
        pool.settle()
        if len(pool.picks) + 1 == count:
            pool.pick(first_highest(values))
            break
        _pick_some(pool, count)
    return np.array(pool.picks, dtype=np.intp)


def draw_by_value(
    values: FloatArray,
    gains: MarginalGains,
    *,
    count: int,
    rng: np.random.Generator,
    first: int | None = None,
) -> NDArray[np.intp]:
    """Draw rows with chances proportional to their values; evenly while none has any.

    `values` (N,) are changed; infinite ones (nothing is picked yet) count as equal. Draws by values
    that are out of date are thinned by how far the drawn row's value has fallen since, which gives
    exactly the chances of the present values.
    """
    pool = _Pool(values, gains)
    if first is not None and count > 0:
        pool.pick(first)
    while len(pool.picks) < count:
        pool.settle()
        weights = np.maximum(values, 0).astype(np.float64)
        if not np.isfinite(weights).all() or weights.max(initial=0) <= 0:
            weights = (values >= 0).astype(np.float64)
            pool.pick(_draw(weights.cumsum(), rng))
            continue
        _draw_some(pool, weights.cumsum(), count=count, rng=rng)
    return np.array(pool.picks, dtype=np.intp)


class _Pool:
    """The values, and the picks that not all of them know of yet."""

    def __init__(self, values: FloatArray, gains: MarginalGains) -> None:
        self.values, self.gains = values, gains
        self.picks: list[int] = []
        self.settled = 0

    @property
    def waiting(self) -> int:
        """Picks that the values do not know of yet."""
        return len(self.picks) - self.settled

    def pick(self, row: int) -> None:
        """Take a row."""
        self.picks.append(row)
        self.gains.add(row)

    def settle(self) -> None:
        """Bring every value up to date; a row that is picked gets -1."""
        if not self.waiting:
            return
        for rows in blocks(len(self.values)):
            self.values[rows] = self.gains.lower(self.values[rows], rows, self.settled)
        self.values[self.picks] = _TAKEN
        self.settled = len(self.picks)


def _pick_some(pool: _Pool, count: int) -> None:
    """Pick while the highest of a short list, kept up to date, is surely the highest of all."""
    values = pool.values
    size = max(_SHORTEST, len(values) // _SHARE)
    best = first_highest(values)
    bar = _TAKEN
    if size < len(values):
        place = len(values) - size
        bar = float(np.partition(values, place)[place])
    pool.pick(best)
    # Without the pick itself, whose distance is 0 and would have to be computed anew.
    short = np.flatnonzero(values > bar)
    short = short[short != best]
    near = values[short]
    while len(pool.picks) < count and pool.waiting < _MOST_WAITING and len(short):
        near = pool.gains.lower(near, short, len(pool.picks) - 1)
        place = first_highest(near)
        # Everything outside is at most the bar, and a tie could hide a lower position there.
        if near[place] * (1 - TIE) <= max(bar, 0.0):
            return
        pool.pick(int(short[place]))
        is_left = short != short[place]
        short, near = short[is_left], near[is_left]


def _draw_some(pool: _Pool, reach: FloatArray, *, count: int, rng: np.random.Generator) -> None:
    """Draw by values that are out of date, and keep a draw as often as its value has held."""
    vain = 0
    while len(pool.picks) < count and pool.waiting < _MOST_WAITING and vain < _PATIENCE:
        row = _draw(reach, rng)
        if pool.waiting:
            # Rejection sampling: kept with chance now / before, a draw by old values is one by
            # present values. Values only fall, so the ratio is a probability.
            before = pool.values[row : row + 1]
            now = pool.gains.lower(before, slice(row, row + 1), pool.settled)
            if row in pool.picks[pool.settled :] or rng.random() * before[0] >= now[0]:
                vain += 1
                continue
        pool.pick(row)


def _draw(reach: FloatArray, rng: np.random.Generator) -> int:
    """Draw a position by running totals of weights."""
    # The last row with any weight is the limit: rounding must not step past it.
    last = int(np.searchsorted(reach, reach[-1], side="left"))
    return min(int(np.searchsorted(reach, rng.random() * reach[-1], side="right")), last)


def nearest_gaps(space: Space, points: Space) -> FloatArray:
    """Measure every point of `space` to the nearest of `points`; infinite where there is none."""
    nearest = np.full(len(space), np.inf, dtype=np.float32)
    for rows in blocks(len(space)):
        mine = space.take(rows)
        # 8,192 x 256 distances (8 MB) at a time, never N x L of them.
        for columns in blocks(len(points), 256):
            gaps = mine.gaps(points.take(columns)).min(axis=1)
            nearest[rows] = np.minimum(nearest[rows], gaps)
    return nearest
