"""Which rows lie within a radius of which, one bit a pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import TIE, IntArray
from querist.tools.engines.geometry import Euclidean, blocks

# 16 MB of distances at a time. A multiple of 8: every block of bits starts on a whole byte.
_SIDE = 2048


def reach_of(radius: float) -> float:
    """Square a radius, to compare distances with: what equals it but for rounding is inside."""
    return radius**2 * (1 + TIE)


class Balls:
    """A gain oracle: how many rows that no ball covers yet lie in each row's ball.

    A ball holds what lies within `radius` of its centre, to four digits. N^2 / 8 bytes: 50 MB for
    20,000 rows.
    """

    def __init__(self, space: Euclidean, *, radius: float) -> None:
        count, reach = len(space), reach_of(radius)
        self._bits = np.zeros((count, -(-count // 8)), dtype=np.uint8)
        for high in blocks(count, _SIDE):
            for wide in blocks(count, _SIDE):
                # Distances are symmetric: half of the blocks are measured, and stored both ways.
                if wide.start < high.start:
                    continue
                inside = space.take(high).gaps(space.take(wide)) <= reach
                self._store(high, wide, inside)
                if wide != high:
                    self._store(wide, high, inside.T)
        # The bits that fill up the last byte are 0 on this side, so they are never counted.
        self._open = np.packbits(np.ones(count, dtype=bool))

    def gains(self, candidates: IntArray) -> NDArray[np.float64]:
        """Count the uncovered rows in each candidate's ball."""
        gains = np.empty(len(candidates))
        # Indexing copies: all candidates at once would double the N^2 / 8 bytes.
        for some in blocks(len(candidates), 4096):
            uncovered = self._bits[candidates[some]] & self._open
            gains[some] = np.bitwise_count(uncovered).sum(axis=1, dtype=np.int64)
        return gains

    def add(self, candidate: int) -> None:
        """Cover this candidate's ball."""
        self._open &= ~self._bits[candidate]

    def cover(self, covered: NDArray[np.bool_]) -> None:
        """Count some rows (N,) as covered from the start."""
        self._open &= np.packbits(~covered)

    @property
    def open_share(self) -> float:
        """The share of rows that no ball covers."""
        return float(np.bitwise_count(self._open).sum()) / max(1, len(self._bits))

    def _store(self, high: slice, wide: slice, inside: NDArray[np.bool_]) -> None:
        """Write a block of pairs; block sides are multiples of 8, so bytes are whole."""
        packed = np.packbits(inside, axis=1)
        self._bits[high, wide.start // 8 : wide.start // 8 + packed.shape[1]] = packed
