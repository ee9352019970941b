"""Which rows lie within a radius of which, one bit a pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.arrays import FloatArray, IntArray
from querist.tools.geometry import blocks

_SIDE = 2048


class Balls:
    """A gain oracle: how many rows that no ball covers yet lie in each row's ball.

    `rows` (N, d) are of length 1; a ball holds what has at least cosine `least` with its centre.
    N^2 / 8 bytes: 50 MB for 20,000 rows.
    """

    def __init__(self, rows: FloatArray, *, least: float) -> None:
        count = len(rows)
        self._bits = np.zeros((count, -(-count // 8)), dtype=np.uint8)
        for high in blocks(count, _SIDE):
            for wide in blocks(count, _SIDE):
                if wide.start < high.start:
                    continue
                inside = rows[high] @ rows[wide].T >= least
                if wide == high:
                    # A centre is in its own ball, whatever rounding says.
                    np.fill_diagonal(inside, val=True)
                self._store(high, wide, inside)
                if wide != high:
                    self._store(wide, high, inside.T)
        self._open = np.packbits(np.ones(count, dtype=bool))

    def gains(self, candidates: IntArray) -> NDArray[np.float64]:
        """Count the uncovered rows in each candidate's ball."""
        gains = np.empty(len(candidates))
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
