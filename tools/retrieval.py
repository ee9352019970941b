"""Find the nearest vectors exactly, and choose demonstrations among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from querist.tools.arrays import FloatArray, IntArray

_CELLS_AT_ONCE = 4_000_000
# Products of equal rows can differ in the last digits; rounded, they tie as they should.
_DIGITS = 6


def nearest(
    query: FloatArray, bank: FloatArray, k: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find for each query (M, d) its min(k, N) nearest in `bank` (N, d), nearest first.

    Vectors must have length 1; similarity is their cosine, to six digits. Returns positions and
    similarities, both (M, min(k, N)); ties go to the lower position. Nothing is approximate.
    """
    k = max(0, min(k, len(bank)))
    positions = np.empty((len(query), k), dtype=np.intp)
    similarities = np.empty((len(query), k), dtype=np.float32)
    if k == 0:
        return positions, similarities
    height = max(1, _CELLS_AT_ONCE // len(bank))
    for top in range(0, len(query), height):
        block = _similarities(query[top : top + height], bank)
        thresholds = np.partition(block, len(bank) - k, axis=1)[:, len(bank) - k]
        for row, (values, threshold) in enumerate(zip(block, thresholds, strict=True), start=top):
            close = np.flatnonzero(values >= threshold)
            best = close[np.argsort(-values[close], kind="stable")[:k]]
            positions[row], similarities[row] = best, values[best]
    return positions, similarities


def pick_demonstrations(
    query_vector: FloatArray,
    bank: FloatArray,
    bank_labels: Sequence[object] | IntArray,
    *,
    count: int,
    exclude_similarity: float = 0.98,
    balanced: bool = True,
) -> NDArray[np.intp]:
    """Choose up to `count` rows of `bank` (N, d) to show beside a query (d,).

    Rows at least `exclude_similarity` alike are the query itself or a copy of it, which would give
    the answer away: they are never chosen. `balanced` takes each class's nearest before any
    class's second. The nearest comes last, because models heed most what they read last.
    """
    similarities = _similarities(query_vector[None], bank)[0]
    order = np.argsort(-similarities, kind="stable")
    order = order[similarities[order] < exclude_similarity]
    if balanced and len(order):
        _, classes = np.unique(np.asarray(bank_labels)[order], return_inverse=True)
        order = order[np.argsort(_ranks(classes), kind="stable")]
    chosen = order[: max(0, count)]
    reading_order: NDArray[np.intp] = np.lexsort((-chosen, similarities[chosen]))
    return np.asarray(chosen[reading_order], dtype=np.intp)


def _similarities(query: FloatArray, bank: FloatArray) -> NDArray[np.float32]:
    """Multiply out (M, d) and (N, d) to rounded cosines (M, N)."""
    products: NDArray[np.float32] = (query @ bank.T).astype(np.float32, copy=False)
    return np.round(products, _DIGITS)


def _ranks(classes: IntArray) -> IntArray:
    """Count how many of its class come before each member, in the order given: (N,)."""
    grouped = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[grouped], classes[grouped])
    ranks = np.empty(len(classes), dtype=np.intp)
    ranks[grouped] = np.arange(len(classes)) - starts
    return ranks
