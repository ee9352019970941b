"""Find the nearest vectors exactly, and choose demonstrations among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.neighbours import nearest_neighbours

# The same text embedded twice differs after these.
_DIGITS = 6


def nearest(
    query: FloatArray, bank: FloatArray, k: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find for each query (M, d) its min(k, N) nearest in `bank` (N, d), nearest first.

    Similarity is the cosine. Returns positions and similarities, both (M, min(k, N)); what is
    equal to six digits goes to the lower position. Nothing is approximate.
    """
    positions, similarities = nearest_neighbours(query, max(0, k), among=bank, digits=_DIGITS)
    return positions, similarities.astype(np.float32)


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
    # In doubles: a copy is as far as it is, and equal rows tie, whatever the order of summing.
    similarities = (bank.astype(np.float64) @ query_vector).round(_DIGITS)
    order = np.argsort(-similarities, kind="stable")
    order = order[similarities[order] < exclude_similarity]
    if balanced and len(order):
        _, classes = np.unique(np.asarray(bank_labels)[order], return_inverse=True)
        order = order[np.argsort(_ranks(classes), kind="stable")]
    chosen = order[: max(0, count)]
    reading_order: NDArray[np.intp] = np.lexsort((-chosen, similarities[chosen]))
    return np.asarray(chosen[reading_order], dtype=np.intp)


def _ranks(classes: IntArray) -> IntArray:
    """Count how many of its class come before each member, in the order given: (N,)."""
    grouped = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[grouped], classes[grouped])
    ranks = np.empty(len(classes), dtype=np.intp)
    ranks[grouped] = np.arange(len(classes)) - starts
    return ranks
