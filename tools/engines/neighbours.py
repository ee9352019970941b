"""The graph of nearest neighbours by cosine, and who is whose neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.accelerator import place, products
from querist.tools.compute.arrays import FloatArray, IntArray, unit_rows
from querist.tools.engines.geometry import blocks

_CELLS = 16_000_000
"""Similarities that are held at a time (64 MB)."""
_GROUP, _MOST_REACHING = 32, 16
# One cosine by itself costs as much as 16 by a product in doubles; the rows of 512 pairs stay in
# the cache, and those of 2,048 took three times as long.
_PAIRS, _PAIRS_AT_ONCE = 16, 512
_DIGITS = 12
# A float32 product of two rows of length 1 is wrong by up to 1.2e-6, and a row's length by 1e-6.
_BLUR = 4e-6
# Above this cosine one minus it, which is what nearness means there, has lost digits.
_CLOSE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """N sets of numbers, one after the other: set n is `members[starts[n]:starts[n + 1]]`."""

    starts: NDArray[np.intp]
    members: NDArray[np.intp]

    @classmethod
    def of(cls, sets: list[list[int]]) -> Sets:
        """Write lists as sets."""
        starts = np.cumsum([0, *(len(members) for members in sets)])
        return cls(
            starts, np.array([member for members in sets for member in members], dtype=np.intp)
        )

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
    rows: FloatArray, k: int, *, among: FloatArray | None = None, digits: int = _DIGITS
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the k most similar by cosine of each row: positions and similarities, both (N, k).

    Best first; what is equal to `digits` digits goes to the lower position. By default among the
    rows themselves, each without itself; `among` (M, d) names others. Fewer than k there means
    fewer columns. O(N M d) time, but never more than a block of the N x M similarities in memory.
    """
    mine = place(unit_rows(rows))
    others = mine if among is None else place(unit_rows(among))
    k = min(k, len(others) - (among is None))
    found = np.empty((len(mine), max(k, 0)), dtype=np.intp)
    how_near = np.empty(found.shape, dtype=np.float64)
    if k <= 0:
        return found, how_near
    shown = rows if among is None else among
    for block in blocks(len(mine), max(1, _CELLS // len(others))):
        similar = products(mine[block], others)
        if among is None:
            similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = -np.inf
        found[block], how_near[block] = _best(
            similar, k, rows=rows[block], others=shown, digits=digits
        )
    return found, how_near


def similarities(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Give the cosines of rows (N, d) and others (M, d): (N, M).

    In doubles if many are close to 1, where differences would otherwise be lost.
    """
    mine, theirs = place(unit_rows(rows)), place(unit_rows(others))
    result: FloatArray = np.zeros((len(mine), len(theirs)), dtype=np.float32)
    for block in blocks(len(mine), max(1, _CELLS // 8 // max(1, len(theirs)))):
        part = products(mine[block], theirs)
        near = np.flatnonzero(part > _CLOSE)
        if len(near) * _PAIRS > part.size:
            part = _unit_doubles(rows[block]) @ _unit_doubles(others).T
            result = result.astype(np.float64, copy=False)
        elif len(near):
            owners, places = np.divmod(near, len(theirs))
            part[owners, places] = _cosines(rows[block], others, owners, places)
        result[block] = part
    return result


def voters(neighbours: IntArray) -> Sets:
    """Turn a graph (N, k) around: who has each row among its nearest."""
    count, k = neighbours.shape
    order = np.argsort(neighbours, axis=None, kind="stable")
    starts = np.concatenate([[0], np.bincount(neighbours.ravel(), minlength=count).cumsum()])
    return Sets(starts.astype(np.intp), (order // max(k, 1)).astype(np.intp))


def _best(
    similar: FloatArray, k: int, *, rows: FloatArray, others: FloatArray, digits: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Take the k highest of each row in order; equal ones go to lower positions.

    Where products cannot tell who is nearer, or how near, cosines are computed in doubles.
    """
    # What ties after rounding to `digits` may have come out lower by the blur of a product.
    slack = _BLUR + 10.0**-digits
    bars = _bars(similar, k) - np.float32(slack)
    owners, places = np.nonzero(similar >= bars[:, None])
    if len(owners) > _MOST_REACHING * k * len(similar):
        return _best_in_doubles(similar, k, rows=rows, others=others, digits=digits)
    values = similar[owners, places].astype(np.float64)
    reaching = np.bincount(owners, minlength=len(similar))
    found, how_near = np.empty((len(similar), k), dtype=np.intp), np.empty((len(similar), k))
    is_doubtful = np.empty(len(similar), dtype=bool)
    # Most rows have k and no more, which are sorted side by side.
    is_exact = reaching == k
    for mine in (is_exact, ~is_exact):
        if not mine.any():
            continue
        some = mine[owners]
        order, after = _ranked(owners[some], places[some], values[some], reaching[mine], k)
        found[mine], how_near[mine] = places[some][order], values[some][order]
        steps = np.column_stack([how_near[mine], after])
        steps = steps[:, :-1] - steps[:, 1:]
        # Where ranks lie closer than products are exact, or 1 - cosine has lost its digits.
        is_doubtful[mine] = (how_near[mine][:, 0] > _CLOSE) | (steps < slack).any(axis=1)
    if is_doubtful.any():
        some = is_doubtful[owners]
        owners, places = owners[some], places[some]
        values = _cosines(rows, others, owners, places).round(digits)
        order, _ = _ranked(owners, places, values, reaching[is_doubtful], k)
        found[is_doubtful], how_near[is_doubtful] = places[order], values[order]
    return found, how_near


def _ranked(
    owners: IntArray, places: IntArray, values: FloatArray, sizes: IntArray, k: int
) -> tuple[NDArray[np.intp], FloatArray]:
    """Rank what each owner in turn has: the k best of each, and the value that comes after them."""
    after = np.full(len(sizes), -np.inf)
    if len(values) == k * len(sizes):
        order = np.argsort(-values.reshape(-1, k), axis=1, kind="stable")
        return order + np.arange(len(sizes))[:, None] * k, after
    ranked = np.lexsort((places, -values, owners))
    ends = sizes.cumsum()
    first = (ends - sizes)[:, None] + np.arange(k)
    has_more = sizes > k
    after[has_more] = values[ranked[first[has_more, -1] + 1]]
    return ranked[first], after


def _bars(similar: FloatArray, k: int) -> FloatArray:
    """Find for each row a value that k others at least reach, and few more than k."""
    rows, columns = similar.shape
    groups = columns // _GROUP
    if groups < k:
        return np.asarray(np.partition(similar, columns - k, axis=1)[:, columns - k])
    # The k-th best of the groups' maxima.
    # At least k groups, so at least k others, reach it; and only one value in 32 is partitioned.
    grouped = similar[:, : groups * _GROUP].reshape(rows, groups, _GROUP).max(axis=2)
    return np.asarray(np.partition(grouped, groups - k, axis=1)[:, groups - k])


def _best_in_doubles(
    similar: FloatArray, k: int, *, rows: FloatArray, others: FloatArray, digits: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Sort whole rows of cosines: so many are equal, or nearly so, that no bar separates them."""
    found = np.empty((len(similar), k), dtype=np.intp)
    how_near = np.empty(found.shape)
    theirs = _unit_doubles(others)
    for block in blocks(len(similar), max(1, _CELLS // 8 // len(theirs))):
        cosines = (_unit_doubles(rows[block]) @ theirs.T).round(digits)
        cosines[np.isneginf(similar[block])] = -np.inf
        found[block] = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        how_near[block] = np.take_along_axis(cosines, found[block], axis=1)
    return found, how_near


def _cosines(
    rows: FloatArray, others: FloatArray, mine: IntArray, theirs: IntArray
) -> NDArray[np.float64]:
    """Compute some cosines in doubles, pair by pair."""
    result = np.empty(len(mine))
    for block in blocks(len(mine), _PAIRS_AT_ONCE):
        pair = _units_at(rows, mine[block]), _units_at(others, theirs[block])
        result[block] = np.einsum("nd,nd->n", *pair)
    return result


def _units_at(rows: FloatArray, places: IntArray) -> NDArray[np.float64]:
    """Gather rows of length 1 in doubles; a row that is wanted often is scaled once."""
    used, wanted = np.unique(places, return_inverse=True)
    return np.asarray(_unit_doubles(rows[used])[wanted])


def _unit_doubles(rows: FloatArray) -> NDArray[np.float64]:
    """Scale rows to length 1 in doubles; zero rows stay zero."""
    doubled = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", doubled, doubled))
    doubled /= np.where(lengths > 0, lengths, 1)[:, None]
    return np.asarray(doubled)
