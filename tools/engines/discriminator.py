"""Tell labelled rows from unlabelled ones by a small classifier (Gissin & Shalev-Shwartz, 2019)."""

from __future__ import annotations

import numpy as np

from querist.tools.compute.arrays import FloatArray, IntArray, one_hot, unit_rows
from querist.tools.engines.geometry import Euclidean, blocks

_FEATURES, _MOST_SHOWN, _SAMPLE = 256, 2000, 500
_STRENGTH = 0.03
# Features that differ less than this are those of duplicates: there is nothing to tell apart.
_SAME = 1e-4


class Discriminator:
    """A logistic regression on random Fourier features, so that it judges by neighbourhood.

    A linear one on the embeddings could only find directions; the paper's has hidden layers.
    """

    def __init__(self, pool: FloatArray, labelled: FloatArray, *, rng: np.random.Generator) -> None:
        self._rng = rng
        pool = unit_rows(pool)
        sample = Euclidean.of(pool[np.sort(rng.permutation(len(pool))[:_SAMPLE])])
        apart = np.sqrt(sample.gaps(sample))
        usual = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
        # Random Fourier features of a Gaussian kernel (Rahimi & Recht, 2007): axes from a normal of
        # spread 1 / width, offsets uniform on the circle. The width is the usual distance: with a
        # much smaller one every row is alone, with a much larger one all are alike.
        axes = rng.normal(size=(pool.shape[1], _FEATURES)) / usual
        self._axes = axes.astype(np.float32)
        self._offsets = rng.uniform(0, 2 * np.pi, _FEATURES).astype(np.float32)
        self._pool = self._featurise(pool)
        self._is_open = np.ones(len(pool), dtype=bool)
        self._labelled = self._featurise(unit_rows(labelled)) if len(labelled) else self._pool[:0]

    @property
    def has_labelled(self) -> bool:
        """Whether there is anything to tell apart."""
        return len(self._labelled) > 0

    def count_as_labelled(self, rows: IntArray) -> None:
        """Move rows of the pool to the labelled side."""
        self._is_open[rows] = False
        self._labelled = np.concatenate([self._labelled, self._pool[rows]])

    def unlabelled_scores(self) -> FloatArray:
        """Score every row of the pool: log odds of being unlabelled."""
        from querist.tools.training.linear_solver import Design, solve

        unlabelled = np.flatnonzero(self._is_open)
        # A fit costs O(n 256^2) and there is one for each sub-batch: a draw bounds n.
        if len(unlabelled) > _MOST_SHOWN:
            unlabelled = np.sort(self._rng.choice(unlabelled, size=_MOST_SHOWN, replace=False))
        inputs = np.concatenate([self._labelled, self._pool[unlabelled]])
        if np.ptp(inputs, axis=0).max() < _SAME:
            return np.zeros(len(self._pool), dtype=np.float32)
        sides = np.repeat([0, 1], [len(self._labelled), len(unlabelled)])
        # Both sides weigh the same, or nothing but "unlabelled" would be learnt.
        sizes = np.maximum(np.bincount(sides, minlength=2), 1)
        weights = (len(sides) / 2 / sizes)[sides].astype(np.float32)
        design = Design.of(inputs, one_hot(sides, 2), weights)
        coefficients, _ = design.export(solve(design, weights[None], _STRENGTH))
        return self._pool @ (coefficients[0, :, 1] - coefficients[0, :, 0])

    def _featurise(self, rows: FloatArray) -> FloatArray:
        """Map rows (N, d) to cosines (N, 256) whose products approximate a Gaussian kernel."""
        features = np.empty((len(rows), _FEATURES), dtype=np.float32)
        for block in blocks(len(rows)):
            # Without the factor sqrt(2 / D): `Design` scales its rows anyway.
            np.cos(rows[block] @ self._axes + self._offsets, out=features[block])
        return features
