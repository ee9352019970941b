"""Greedy cover: pick what adds most to what the picks before have covered, by lazy evaluation.

What is covered is up to an oracle. Three are here: `Similarities` (facility location and certainty
gain), `Membership` (maximum coverage, plain or with diminishing repeats: CoverICL) and `Votes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import TIE, FloatArray, IntArray, first_highest
from querist.tools.engines.neighbours import Sets

_FIRST_LOOK = 16


class GainOracle(Protocol):
    """What each of N candidates would add now; to be lazy, no gain may rise by an `add`."""

    def gains(self, candidates: IntArray) -> FloatArray:
        """Give what each of these candidates would add."""

    def add(self, candidate: int) -> None:
        """Count a candidate as picked."""


class Cover(NamedTuple):
    """What was picked, in order, and what each pick added at its time."""

    picks: NDArray[np.intp]
    gains: NDArray[np.float64]


def greedy_cover(
    oracle: GainOracle,
    *,
    candidates: IntArray,
    count: int,
    is_submodular: bool = True,
    stop_at_nothing: bool = False,
    is_done: Callable[[], bool] | None = None,
    tie: float = 0.0,
) -> Cover:
    """Pick up to `count` of the candidates, each time the one that adds most.

    Equal gains go to the candidate that stands first, and so do gains that miss the best by at most
    its share `tie`, for oracles whose sums have rounding in them. A gain that is out of date is an
    upper bound (Minoux, 1978), so only candidates whose bound reaches the best are looked at again;
    without `is_submodular` all are. `stop_at_nothing` ends when no candidate adds anything,
    `is_done` when it says so before a pick.
    """
    candidates = np.asarray(candidates, dtype=np.intp)
    bounds = np.full(len(candidates), np.inf)
    picks: list[int] = []
    gains: list[float] = []
    for _ in range(min(count, len(candidates))):
        if is_done is not None and is_done():
            break
        if not is_submodular:
            bounds[bounds >= 0] = np.inf
        place = _best(oracle, candidates, bounds, tie=tie)
        if stop_at_nothing and bounds[place] <= 0:
            break
        picks.append(int(candidates[place]))
        gains.append(float(bounds[place]))
        oracle.add(picks[-1])
        bounds[place] = -np.inf
    return Cover(np.array(picks, dtype=np.intp), np.array(gains, dtype=np.float64))


def cover_within(
    make_oracle: Callable[[], GainOracle], *, prices: FloatArray, budget: float
) -> Cover:
    """Cover within a budget: the better of gain-per-price picks and the best single candidate.

    `prices` (N,) are above 0. Either alone can be arbitrarily bad; the better of both is within
    (1 - 1/e) / 2 of the best (Khuller et al., 1999). What is equal to 5 digits goes to the
    candidate that stands first.
    """
    oracle, single = make_oracle(), make_oracle()
    affordable = np.flatnonzero(prices <= budget)
    picks: list[int] = []
    gains: list[float] = []
    left, still = budget, affordable
    while len(still):
        now = oracle.gains(still)
        place = first_highest(now / prices[still])
        picks.append(int(still[place]))
        gains.append(float(now[place]))
        oracle.add(picks[-1])
        left -= float(prices[picks[-1]])
        still = np.delete(still, place)
        still = still[prices[still] <= left]
    best = greedy_cover(single, candidates=affordable, count=1, tie=TIE)
    if len(best.gains) and best.gains[0] > sum(gains):
        return best
    return Cover(np.array(picks, dtype=np.intp), np.array(gains, dtype=np.float64))


class Similarities:
    """Facility location: sum over items of weight times similarity to the nearest pick.

    `similar` (N, I) tells how well candidate n stands for item i; below 0 counts as 0. `covered`
    (I,) is how well items are served at the start. With N = I this is the certainty gain of LDCAL
    times the number of items (Li et al., 2024).
    """

    def __init__(
        self,
        similar: FloatArray,
        *,
        weights: FloatArray | None = None,
        covered: FloatArray | None = None,
    ) -> None:
        self._similar = similar
        items = similar.shape[1]
        start = np.zeros(items) if covered is None else np.maximum(covered, 0)
        # In the precision of the similarities, or every block would be turned into doubles.
        self._best = start.astype(similar.dtype)
        self._weights = np.ones(items) if weights is None else np.asarray(weights)
        self._weights = self._weights.astype(similar.dtype)

    def gains(self, candidates: IntArray) -> FloatArray:
        """Sum what each candidate improves."""
        gains = np.empty(len(candidates))
        size = max(1, 4_000_000 // max(1, len(self._best)))
        for start in range(0, len(candidates), size):
            some = slice(start, start + size)
            better = self._similar[candidates[some]]
            better -= self._best
            np.maximum(better, 0, out=better)
            gains[some] = better @ self._weights
        return gains

    def add(self, candidate: int) -> None:
        """Serve items by this candidate where it is nearer."""
        np.maximum(self._best, self._similar[candidate], out=self._best)


class Membership:
    """Coverage: sum over members of `weights` times `decay` to the power of times covered.

    Candidate n covers the members of set n. With `decay` 0 a member counts once (maximum coverage);
    with 0.1 it counts a tenth the second time (AdaICL+).
    """

    def __init__(
        self, sets: Sets, *, weights: FloatArray | None = None, items: int, decay: float = 0.0
    ) -> None:
        self._sets = sets
        self._worth = np.ones(items) if weights is None else np.array(weights, dtype=np.float64)
        self._decay = decay

    def gains(self, candidates: IntArray) -> FloatArray:
        """Sum what the members of each candidate's set are still worth."""
        members, sizes = self._sets.of_rows(np.asarray(candidates))
        owners = np.repeat(np.arange(len(sizes)), sizes)
        worth = np.bincount(owners, weights=self._worth[members], minlength=len(sizes))
        return worth.astype(np.float64)

    def add(self, candidate: int) -> None:
        """Count the members of this candidate's set as covered once more."""
        members, _ = self._sets.of_rows(np.array([candidate]))
        self._worth[members] *= self._decay


class Votes(Membership):
    """Vote-k (Su et al., 2023): item n is candidate n, and set n holds the items that vote for it.

    A vote counts `decay` to the power of how many picks it went to, and a pick has none any more.
    """

    def add(self, candidate: int) -> None:
        """Discount the votes for this candidate, and take its own away."""
        super().add(candidate)
        self._worth[candidate] = 0


def _best(oracle: GainOracle, candidates: IntArray, bounds: FloatArray, *, tie: float) -> int:
    """Bring bounds up to date, the highest first, until the best is certain; give its place."""
    stale = bounds > -np.inf
    best, size = -np.inf, _FIRST_LOOK
    while True:
        # A stale bound that only equals the best could still win by standing first.
        bar = best - tie * best if best > 0 else best
        open_places = np.flatnonzero(stale & (bounds >= bar))
        if not len(open_places):
            return int(np.flatnonzero(~stale & (bounds >= bar))[0])
        # A few at a time, as the first may settle it; but at the start no bound is known, and all
        # have to be looked at.
        if len(open_places) > size and np.isfinite(bounds[open_places]).all():
            highest = np.argpartition(-bounds[open_places], size - 1)[:size]
            open_places = np.sort(open_places[highest])
        bounds[open_places] = oracle.gains(candidates[open_places])
        stale[open_places] = False
        best = max(best, float(bounds[open_places].max()))
        size *= 4
