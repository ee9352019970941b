"""Cover the pool: choose rows of an embedding matrix that lie far apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.arrays import FloatArray

_BLOCK_ROWS, _BLOCK_COLUMNS = 8192, 256
# Squared float32 distances below this share of the norms are rounding: the rows are duplicates.
_ROUNDING = 1e-6


def k_center(
    embeddings: FloatArray,
    *,
    labelled: FloatArray | None = None,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Pick, again and again, the row farthest from all picked and labelled ones.

    The greedy 2-approximation of the covering radius (CoreSet; Sener & Savarese, 2018).
    `embeddings` is (N, d), `labelled` (L, d); returns min(count, N) positions in the order picked.
    With nothing labelled the first is drawn from `rng`; ties go to the lower position.
    """
    distances = NearestDistances(embeddings)
    if labelled is not None:
        distances.cover(labelled)
    for _ in range(min(count, len(embeddings))):
        distances.pick(distances.farthest() if distances.covered else distances.draw(rng))
    return distances.picks


def k_means_pp(
    embeddings: FloatArray,
    *,
    labelled: FloatArray | None = None,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Draw rows with chances proportional to squared distance from those taken before.

    The seeding of k-means++ (Arthur & Vassilvitskii, 2007) used as a sampler; arguments and
    result as in `k_center`. Rows at distance 0 come last, in equal chances.
    """
    distances = NearestDistances(embeddings)
    if labelled is not None:
        distances.cover(labelled)
    for _ in range(min(count, len(embeddings))):
        distances.pick(distances.draw(rng))
    return distances.picks


class NearestDistances:
    """Squared Euclidean distances from each of N rows to the nearest point covered so far.

    Needs O(N) memory beside the rows; an N x N matrix is never built.
    """

    def __init__(self, embeddings: FloatArray) -> None:
        self._rows = np.ascontiguousarray(embeddings, dtype=np.float32)
        self._norms = np.einsum("nd,nd->n", self._rows, self._rows)
        self._nearest = np.full(len(self._rows), np.inf, dtype=np.float32)
        self._open = np.ones(len(self._rows), dtype=bool)
        self._picks: list[int] = []
        self.covered = False

    @property
    def picks(self) -> NDArray[np.intp]:
        """The rows picked, in order."""
        return np.array(self._picks, dtype=np.intp)

    def cover(self, points: FloatArray) -> None:
        """Measure to points (M, d) from outside, block by block."""
        points = points.astype(np.float32, copy=False)
        norms = np.einsum("md,md->m", points, points)
        for left in range(0, len(points), _BLOCK_COLUMNS):
            columns = slice(left, left + _BLOCK_COLUMNS)
            for top in range(0, len(self._rows), _BLOCK_ROWS):
                rows = slice(top, top + _BLOCK_ROWS)
                products = self._rows[rows] @ points[columns].T
                products *= -2
                products += norms[columns]
                self._lower(rows, products.min(axis=1), float(norms[columns].max()))
            self.covered = True

    def pick(self, row: int) -> None:
        """Take a row: it is never offered again, and the others are measured to it."""
        self._picks.append(row)
        self._open[row] = False
        gaps = self._rows @ self._rows[row]
        gaps *= -2
        gaps += self._norms[row]
        self._lower(slice(None), gaps, float(self._norms[row]))
        self._nearest[row] = -1
        self.covered = True

    def farthest(self) -> int:
        """Find the open row that lies farthest from all that is covered."""
        return int(self._nearest.argmax())

    def draw(self, rng: np.random.Generator) -> int:
        """Draw an open row by squared distance; evenly while nothing sets the rows apart."""
        weights = np.maximum(self._nearest, 0).astype(np.float64)
        if not self.covered or weights.max() <= 0:
            weights = self._open.astype(np.float64)
        reach = weights.cumsum()
        # The last row with any weight is the limit: rounding must not step past it.
        last = int(np.flatnonzero(weights)[-1])
        return min(int(np.searchsorted(reach, rng.random() * reach[-1], side="right")), last)

    def _lower(self, rows: slice, gaps: FloatArray, norm: float) -> None:
        """Lower the distances of `rows` to `gaps`, which still lack the rows' own norms."""
        gaps += self._norms[rows]
        gaps[gaps <= _ROUNDING * (self._norms[rows] + norm)] = 0
        nearest = self._nearest[rows]
        np.minimum(nearest, gaps, out=nearest)
