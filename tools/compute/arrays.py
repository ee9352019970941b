"""The array types, and the array functions, that the other tools share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

TIE = 2e-5
"""Values that differ by less than this share of the best are equal: sums of float32 products come
out different in the last digits with every kernel of the matrix library, and so would the picks."""


def first_highest(values: FloatArray, *, tie: float = TIE) -> int:
    """Find the lowest position whose value is the highest, or equals it but for rounding."""
    best = values.max()
    # Infinity less a share of infinity is no number, and nothing would reach it.
    if not np.isfinite(best):
        return int(values.argmax())
    return int((values >= best - tie * abs(best)).argmax())


def log_softmax(logits: FloatArray) -> FloatArray:
    """Normalise the last axis in log space; large logits do not overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def one_hot(labels: IntArray, classes: int) -> NDArray[np.float32]:
    """Write class numbers (N,) as certain targets (N, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def unit_rows(rows: FloatArray) -> NDArray[np.float32]:
    """Scale rows (N, d) to length 1; a zero row stays zero."""
    rows = np.asarray(rows, dtype=np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    # Dividing again would cost a copy, and change last digits.
    if np.all(np.abs(lengths - 1) < 1e-6):
        return np.ascontiguousarray(rows)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None], dtype=np.float32)


def share_out(count: int, weights: Sequence[float]) -> list[int]:
    """Split `count` by weights (K,) with largest remainders (Hamilton): K numbers that sum to it.

    Equal remainders go to the earlier.
    """
    exact = count * np.asarray(weights, dtype=np.float64) / sum(weights)
    # Rounded first: 0.7 * 10 must not lose its seventh to floating point.
    shares = np.floor(np.round(exact, 9)).astype(int)
    left = np.argsort(-np.round(exact - shares, 9), kind="stable")[: count - shares.sum()]
    shares[left] += 1
    return [int(share) for share in shares]
