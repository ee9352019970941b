"""Spaces that rows can be spread over: what lies how far from what, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from querist.tools.accelerator import Rows, place, products
from querist.tools.arrays import FloatArray, IntArray

BLOCK = 8192
"""Rows that are worked on at a time; with a few dozen columns they stay in the cache."""

# Squared float32 distances below this share of the norms are rounding: the rows are duplicates.
_ROUNDING = 1e-6
_LEAST = 1e-12


class Space(Protocol):
    """N points with a distance between them."""

    def __len__(self) -> int:
        """Count the points."""

    def take(self, rows: IntArray | slice) -> Self:
        """Keep some of the points; a slice copies nothing."""

    def gaps(self, points: Self) -> FloatArray:
        """Measure every point to each of M others: (N, M), squared where there is a root."""


@dataclass(frozen=True, slots=True, eq=False)
class Euclidean:
    """Rows (N, d) under squared Euclidean distance. Make one by `of`."""

    rows: Rows
    norms: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Euclidean:
        """Prepare rows (N, d); float32 ones are not copied, but large ones go to a GPU."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        return cls(place(rows), np.einsum("nd,nd->n", rows, rows))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def take(self, rows: IntArray | slice) -> Euclidean:
        """Keep some of the rows."""
        return Euclidean(self.rows[rows], self.norms[rows])

    def gaps(self, points: Euclidean) -> FloatArray:
        """Give |x|^2 + |y|^2 - 2 xy, with rounding removed."""
        return _expand(products(self.rows, points.rows), self.norms, points.norms)


@dataclass(frozen=True, slots=True, eq=False)
class OuterProducts:
    """Rows a (x) h under squared Euclidean distance, kept as their factors (Ash et al., 2019).

    The dot product of two rows is (a a')(h h'), so the N x Cd matrix is never needed.
    """

    errors: FloatArray
    features: Rows
    norms: FloatArray

    @classmethod
    def of(cls, errors: FloatArray, features: FloatArray) -> OuterProducts:
        """Prepare factors (N, C) and (N, d)."""
        errors = np.ascontiguousarray(errors, dtype=np.float32)
        features = np.ascontiguousarray(features, dtype=np.float32)
        norms = np.einsum("nc,nc->n", errors, errors) * np.einsum("nd,nd->n", features, features)
        return cls(errors, place(features), norms)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.norms)

    def take(self, rows: IntArray | slice) -> OuterProducts:
        """Keep some of the rows."""
        return OuterProducts(self.errors[rows], self.features[rows], self.norms[rows])

    def gaps(self, points: OuterProducts) -> FloatArray:
        """Give |a|^2 |h|^2 + |a'|^2 |h'|^2 - 2 (a a')(h h'), with rounding removed."""
        inner = products(self.features, points.features)
        inner *= self.errors @ points.errors.T
        return _expand(inner, self.norms, points.norms)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Class probabilities (N, C) under half the sum of both Kullback-Leibler divergences.

    In doubles: the two halves of the sum are large and nearly cancel.
    """

    shares: FloatArray
    logs: FloatArray
    negentropies: FloatArray

    @classmethod
    def of(cls, probabilities: FloatArray) -> Predictions:
        """Prepare probabilities (N, C); zeros become 1e-12, so that nothing is infinite."""
        shares = np.maximum(probabilities, _LEAST, dtype=np.float64)
        shares /= shares.sum(axis=1, keepdims=True)
        logs = np.log(shares)
        return cls(shares, logs, np.einsum("nc,nc->n", shares, logs))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.shares)

    def take(self, rows: IntArray | slice) -> Predictions:
        """Keep some of the rows."""
        return Predictions(self.shares[rows], self.logs[rows], self.negentropies[rows])

    def gaps(self, points: Predictions) -> FloatArray:
        """Give [KL(p||q) + KL(q||p)] / 2 (Agarwal et al., 2020)."""
        crossed = self.shares @ points.logs.T
        crossed += self.logs @ points.shares.T
        crossed *= 0.25
        return _expand(crossed, self.negentropies / 2, points.negentropies / 2)


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Cut `count` rows into slices of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _expand(inner: FloatArray, mine: FloatArray, theirs: FloatArray) -> FloatArray:
    """Turn inner products (N, M) into distances, in place; what is only rounding becomes 0."""
    inner *= -2
    inner += theirs
    inner += mine[:, None]
    rounding = _ROUNDING * (np.abs(mine) + np.abs(theirs).max(initial=0))
    inner[inner <= rounding[:, None]] = 0
    return inner
