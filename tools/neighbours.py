"""The graph of nearest neighbours by cosine, and who is whose neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.tools.accelerator import place, products
from querist.tools.arrays import FloatArray, IntArray, unit_rows
from querist.tools.geometry import blocks

_CELLS = 16_000_000
"""Similarities that are held at a time (64 MB)."""
_GROUP, _MOST_REACHING = 32, 16


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """N sets of numbers, one after the other: set n is `members[starts[n]:starts[n + 1]]`."""

    starts: NDArray[np.intp]
    members: NDArray[np.intp]

    @classmethod
    def of(cls, sets: list[list[int]]) -> Sets:
        """Write lists as sets."""
        starts = np.cumsum([0, *(len(one) for one in sets)])
        return cls(starts, np.array([member for one in sets for member in one], dtype=np.intp))

    def __len__(self) -> int:
        """Count the sets."""
        return len(self.starts) - 1

    def of_rows(self, rows: IntArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Chain the sets of some rows; also tell how many members each has."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        ends = sizes.cumsum()
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        return self.members[np.repeat(self.starts[rows], sizes) + within], sizes


def nearest_neighbours(
    rows: FloatArray, k: int, *, among: FloatArray | None = None
) -> tuple[NDArray[np.intp], FloatArray]:
    """Find the k most similar by cosine of each row: positions and similarities, both (N, k).

    Best first, ties to the lower position. By default among the rows themselves, each without
    itself; `among` (M, d) names others. Fewer than k there means fewer columns. O(N M d) time, but
    never more than a block of the N x M similarities in memory.
    """
    mine = place(unit_rows(rows))
    others = mine if among is None else place(unit_rows(among))
    k = min(k, len(others) - (among is None))
    found = np.empty((len(mine), max(k, 0)), dtype=np.intp)
    how_near = np.empty(found.shape, dtype=np.float32)
    if k <= 0:
        return found, how_near
    for block in blocks(len(mine), max(1, _CELLS // len(others))):
        similar = products(mine[block], others)
        if among is None:
            similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = -np.inf
        found[block], how_near[block] = _best(similar, k)
    return found, how_near


def voters(neighbours: IntArray) -> Sets:
    """Turn a graph (N, k) around: who has each row among its nearest."""
    count, k = neighbours.shape
    order = np.argsort(neighbours, axis=None, kind="stable")
    starts = np.concatenate([[0], np.bincount(neighbours.ravel(), minlength=count).cumsum()])
    return Sets(starts.astype(np.intp), (order // max(k, 1)).astype(np.intp))


def _best(similar: FloatArray, k: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Take the k highest of each row in order; equal ones go to lower positions."""
    rows, columns = similar.shape
    groups = columns // _GROUP
    if groups < k:
        bars = np.partition(similar, columns - k, axis=1)[:, columns - k]
    else:
        # The k-th best of the groups' maxima is a bar that k values at least reach, and few others.
        grouped = similar[:, : groups * _GROUP].reshape(rows, groups, _GROUP).max(axis=2)
        bars = np.partition(grouped, groups - k, axis=1)[:, groups - k]
    owners, places = np.nonzero(similar >= bars[:, None])
    if len(owners) > _MOST_REACHING * k * rows:
        return _best_by_sorting(similar, k)
    values = similar[owners, places]
    if len(owners) == k * rows:
        order = np.argsort(-values.reshape(rows, k), axis=1, kind="stable")
        order += np.arange(rows)[:, None] * k
    else:
        ranked = np.lexsort((places, -values, owners))
        starts = np.searchsorted(owners, np.arange(rows))
        order = ranked[starts[:, None] + np.arange(k)]
    return places[order], values[order]


def _best_by_sorting(similar: FloatArray, k: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Sort whole rows: so many ties that no bar separates anything."""
    order = np.argsort(-similar, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similar, order, axis=1)
