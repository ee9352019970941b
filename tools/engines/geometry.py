"""Spaces that rows can be spread over: what lies how far from what, block by block.

Distances are made of inner products, |x|^2 + |y|^2 - 2 xy, because a matrix product is many times
faster than N x M differences. The sum cancels where norms are large beside distances: float32 has
seven digits, and of norms of 2,400 and a distance of 0.27 three are left, other ones with every
kernel of the matrix library. So a common part that dominates all rows is taken off beforehand, and
distances that are still small beside the norms are computed again in doubles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.accelerator import Rows, fetch, place, products
from querist.tools.compute.arrays import FloatArray, IntArray

_BLOCK = 8192
"""Rows that are worked on at a time; with a few dozen columns they stay in the cache."""

# A distance by products is wrong by up to 2.5e-6 |x||y|, whatever the kernel (measured, on up to
# 5,000 columns). So what is not below this share of |x||y| is right to 2e-5, and mostly to 4e-6.
_CLOSE = 0.125
# One pair by differences costs as much as 16 by a product in doubles.
_PAIRS = 16
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 2048
# Squared distances below this share of the norms are rounding of the rows themselves.
_SAME = 1e-12
# A common part is taken off where what differs makes up less than an eighth of the squared norms:
# only there it gains digits that are worth a copy of the rows.
_SAMPLE, _DOMINATED = 200, 8
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
    """Rows (N, d) under squared Euclidean distance, right to four digits. Make one by `of`."""

    rows: Rows
    """Less the `centre`, if there is one."""
    norms: FloatArray
    centre: FloatArray | None = None

    @classmethod
    def of(cls, rows: FloatArray) -> Euclidean:
        """Prepare rows (N, d); large ones go to a GPU.

        float32 ones are not copied, unless a common part (an offset) makes up nearly all of them.
        """
        return cls._around(rows, common_part(rows))

    @classmethod
    def _around(cls, rows: FloatArray, centre: FloatArray | None) -> Euclidean:
        moved = rows if centre is None else np.subtract(rows, centre)
        moved = np.ascontiguousarray(moved, dtype=np.float32)
        return cls(place(moved), np.einsum("nd,nd->n", moved, moved), centre)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def beside(self, rows: FloatArray) -> Euclidean:
        """Prepare other rows (M, d) in this space's coordinates."""
        return self._around(rows, self.centre)

    def take(self, rows: IntArray | slice) -> Euclidean:
        """Keep some of the rows."""
        return Euclidean(self.rows[rows], self.norms[rows], self.centre)

    def gaps(self, points: Euclidean) -> FloatArray:
        """Give |x - y|^2; those of `points` are moved to these coordinates if they have others."""
        if points.centre is not self.centre:
            there = 0 if points.centre is None else points.centre
            points = self.beside(fetch(points.rows) + there)
        gaps = _expand(products(self.rows, points.rows), self.norms, points.norms)
        return _correct(gaps, self, points)

    def exactly(self, points: Euclidean) -> NDArray[np.float64]:
        """Give |x - y|^2 by products of doubles."""
        theirs = fetch(points.rows).astype(np.float64)
        result = np.empty((len(self), len(theirs)))
        lengths = _norms(theirs)
        for block in blocks(len(self), _ROWS_AT_ONCE):
            mine = fetch(self.rows[block]).astype(np.float64)
            _expand(np.matmul(mine, theirs.T, out=result[block]), _norms(mine), lengths)
        result[result <= _SAME * np.add.outer(self._sizes(), points._sizes())] = 0
        return result

    def pairs(self, points: Euclidean, mine: IntArray, theirs: IntArray) -> NDArray[np.float64]:
        """Give |x - y|^2 of some pairs, by differences."""
        result = np.empty(len(mine))
        for block in blocks(len(mine), _PAIRS_AT_ONCE):
            step = fetch(self.rows[mine[block]]).astype(np.float64)
            step -= fetch(points.rows[theirs[block]])
            result[block] = _norms(step)
        result[result <= _SAME * (self._sizes()[mine] + points._sizes()[theirs])] = 0
        return result

    def _sizes(self) -> FloatArray:
        """Estimate the norms of the rows as they came, the centre included."""
        return self.norms if self.centre is None else self.norms + np.square(self.centre).sum()


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
        """Prepare factors (N, C) and (N, d). An offset of features is a part of the gradient."""
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
        """Give |a|^2 |h|^2 + |a'|^2 |h'|^2 - 2 (a a')(h h'), right to four digits."""
        inner = products(self.features, points.features)
        inner *= self.errors @ points.errors.T
        return _correct(_expand(inner, self.norms, points.norms), self, points)

    def exactly(self, points: OuterProducts) -> NDArray[np.float64]:
        """Give the same by products of doubles."""
        errors, features = points.factors()
        lengths = _norms(errors) * _norms(features)
        result = np.empty((len(self), len(points)))
        for block in blocks(len(self), _ROWS_AT_ONCE):
            mine, seen = self.take(block).factors()
            inner = np.matmul(seen, features.T, out=result[block])
            inner *= mine @ errors.T
            _expand(inner, _norms(mine) * _norms(seen), lengths)
        result[result <= _SAME * np.add.outer(self.norms, points.norms)] = 0
        return result

    def pairs(self, points: OuterProducts, mine: IntArray, theirs: IntArray) -> NDArray[np.float64]:
        """Give the distances of some pairs, in doubles."""
        result = np.empty(len(mine))
        for block in blocks(len(mine), _PAIRS_AT_ONCE):
            (a, h), (b, g) = self.take(mine[block]).factors(), points.take(theirs[block]).factors()
            result[block] = _norms(a) * _norms(h) + _norms(b) * _norms(g)
            result[block] -= 2 * np.einsum("nc,nc->n", a, b) * np.einsum("nd,nd->n", h, g)
        result[result <= _SAME * (self.norms[mine] + points.norms[theirs])] = 0
        return result

    def factors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bring both factors here, in doubles."""
        return self.errors.astype(np.float64), fetch(self.features).astype(np.float64)


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
        # The distance is [p log p + q log q - p log q - q log p] / 2, and `_expand` doubles the
        # products: hence a quarter of them, and half of the negentropies.
        crossed *= 0.25
        gaps = _expand(crossed, self.negentropies / 2, points.negentropies / 2)
        # Logs of 1e-12 are -28, so doubles leave a rounding of 1e-14: no distance.
        gaps[gaps <= _SAME] = 0
        return gaps


class _Factored(Protocol):
    """A space whose distances are made of products, and can be made again in doubles."""

    @property
    def norms(self) -> FloatArray:
        """The squared length of each row (N,)."""

    def exactly(self, points: Self) -> NDArray[np.float64]:
        """Measure every point to each of M others: (N, M)."""

    def pairs(self, points: Self, mine: IntArray, theirs: IntArray) -> NDArray[np.float64]:
        """Measure points `mine` (P,) to others `theirs` (P,), one to one."""


AnyFactored = TypeVar("AnyFactored", bound=_Factored)


def blocks(count: int, size: int = _BLOCK) -> Iterator[slice]:
    """Cut `count` rows into slices of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def common_part(rows: FloatArray) -> FloatArray | None:
    """Find what all rows (N, d) share, if it makes up nearly all of their norms: their mean.

    Of a sample: any vector in their midst would do.
    """
    # Evenly spaced and not drawn: making a space must not use up a strategy's random numbers.
    sample = np.asarray(rows[:: max(1, len(rows) // _SAMPLE)], dtype=np.float64)
    if not len(sample):
        return None
    centre = sample.mean(axis=0)
    if _DOMINATED * np.square(sample - centre).sum() >= np.square(sample).sum():
        return None
    # As precise as the rows: taking off a double would turn float32 rows into doubles.
    kind = np.float64 if rows.dtype == np.float64 else np.float32
    return np.asarray(centre, dtype=kind)


def is_blurred(gaps: FloatArray, mine: FloatArray, theirs: FloatArray) -> NDArray[np.bool_]:
    """Tell which distances are small beside the norms of both rows, so that products blur them."""
    # Roots first: the product of two squared norms might overflow float32.
    return np.asarray(gaps < _CLOSE * np.sqrt(mine) * np.sqrt(theirs))


def _norms(rows: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("nd,nd->n", rows, rows))


def _expand(inner: FloatArray, mine: FloatArray, theirs: FloatArray) -> FloatArray:
    """Turn inner products (N, M) into distances, in place."""
    inner *= -2
    inner += theirs
    inner += mine[:, None]
    return inner


def _correct(gaps: FloatArray, space: AnyFactored, points: AnyFactored) -> FloatArray:
    """Compute again, in doubles, what is blurred."""
    if not gaps.size:
        return gaps
    # First by the longest of the points, which spares most blocks the rest.
    bars = np.sqrt(space.norms)
    bars *= _CLOSE * float(points.norms.max()) ** 0.5
    is_doubtful = gaps < bars[:, None]
    if not is_doubtful.any():
        return gaps
    doubtful = np.flatnonzero(is_doubtful)
    rows, columns = np.divmod(doubtful, gaps.shape[1])
    still = is_blurred(gaps.take(doubtful), space.norms[rows], points.norms[columns])
    rows, columns = rows[still], columns[still]
    if len(rows) * _PAIRS > gaps.size:
        return space.exactly(points).astype(gaps.dtype)
    gaps[rows, columns] = space.pairs(points, rows, columns)
    return gaps
